// Package matrix tests consumers and producers on real Kafka as its brokers and
// their own processes die, freeze and are cut off. It has tests only, for systems
// with Unix signals: where Kafka cannot be started they say so and return.
//
// One cluster of three nodes serves all scenes, one after the other. Each makes a
// topic and a group, has a producer write all the time, and consumers, which are
// processes of their own, read; then something happens. In the end internal/history
// judges what handlers did by what the log holds, and the log itself is compared
// with what was acknowledged, and the group's commits, as the brokers kept them,
// with each other.
//
// ORDERLY_SEED replays a scene's random choices, ORDERLY_SOAK=1 repeats each scene.
// A history that broke a promise is saved, with the processes' logs.
//
// Who is who, one file each:
//
//   - cluster: the brokers, and that they are whole again for the next scene
//   - scene: topic, group, members; from the start to the verdict
//   - load: the producer, and what was acknowledged
//   - member: a consumer process, as it sees itself
//   - process: the same, as the test sees it
//   - chronicle: the history
//   - verdict: what has to hold in the end
//   - parking: how keys fail, what the parking topic holds, and what operators say
//   - relay: a way to a broker that can be cut
package matrix
