// Package proxy is a Kafka proxy that makes faults: it stands between any client
// and any broker, and loses an answer, refuses a batch or sends one twice when the
// batch covers a record that was chosen beforehand.
//
// # What it keeps
//
// A client cannot walk around it: the broker addresses in all seven answers that
// carry some (Metadata, FindCoordinator, DescribeCluster, Produce from version 10,
// Fetch from version 16, ShareFetch, ShareAcknowledge) become those of the proxy's
// own listeners, one for each node. Versions that it cannot read are not offered
// (ApiVersions), and a request whose answer it could not read is not passed on.
// [Proxy.Facts] says what each client sent and got here; a client that wrote more
// than that has found another way.
//
// Kafka answers the requests of a connection in their order. So a single answer
// cannot be left out while later ones pass: to lose one is to cut the connection,
// or to go silent on it. A produce request with acks=0 has no answer at all.
//
// Batches of records are never decoded to be encoded again: what the broker gets
// are the bytes that the client wrote, in whatever format.
//
// # How a fault is chosen
//
// By record, never by time or by request: how records fall into requests depends
// on timing, and the same seed would hit others in each run. A [Fault] names the
// share of the records to hit, or the records; its fault strikes the batch that
// covers one. A record is known by its key and number ([Config.Identify]), so that
// it is the same in a run with a producer id and in one without; or else by its
// place in its writer's sequence, which needs an idempotent producer. What is not
// about records (heartbeats, coordinators) is chosen by group, client and count.
//
// Every fault that struck is a [Hit], in JSON a line that is also a schedule:
// given back ([ReadSchedule]), it strikes the same records.
//
// # What it cannot do
//
// A client's certificate (mutual TLS) and Kerberos prove an identity to the host
// they connect to, so neither passes: both are refused by name ([Obstacle]).
// Passwords do, in SASL frames, which it forwards as they are.
package proxy
