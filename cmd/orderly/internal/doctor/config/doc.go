// Package config reads configurations of Kafka's clients, brokers and connectors in
// the forms in which people write them, and makes facts of them: files in any of
// these forms, folders of them, and standard input. It opens nothing else, connects
// to nothing, and keeps no value that the rules do not look at.
package config
