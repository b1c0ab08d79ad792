// Package effects is what one owner of a partition knows of a store's rows, and
// what it does when they are not as it thought. It knows nothing of Kafka.
//
// The store's rows are the truth. Owner holds a copy: each lane's position, and
// the exceptions. Each step says from where it moves; when the store finds another
// state (another owner's step was faster, or one of ours whose outcome was not
// known did happen) the lane is read again and everything is decided anew. So no
// outcome is ever guessed.
//
// Steps of one lane come one after the other; those of different lanes, and
// Release, ParkHead and ParkBehind of different keys, may come at the same time.
package effects
