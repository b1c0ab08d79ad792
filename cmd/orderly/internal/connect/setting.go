package connect

import "strings"

// Names of settings, as they are in a file of --config.
const (
	Brokers       = "bootstrap.servers"
	Topic         = "topic"
	Group         = "group.id"
	ClientID      = "client.id"
	Protocol      = "security.protocol"
	CA            = "ssl.ca.location"
	Certificate   = "ssl.certificate.location"
	PrivateKey    = "ssl.key.location"
	SASLMechanism = "sasl.mechanism"
	SASLUsername  = "sasl.username"
	SASLPassword  = "sasl.password"
)

// DefaultBrokers is where Kafka, and "orderly broker", are by default.
const DefaultBrokers = "127.0.0.1:9092"

// A setting is one thing that can be said about the connection.
type setting struct {
	name   string
	flag   string // "" when there is none
	short  string
	env    string
	help   string
	def    string
	secret bool
}

// settings are all of them, in the order in which they are shown.
var settings = []setting{
	{name: Brokers, flag: "brokers", short: "b", env: "ORDERLY_BROKERS", def: DefaultBrokers, help: "addresses of brokers, `host:port,...`"},
	{name: Topic, flag: "topic", short: "t", env: "ORDERLY_TOPIC", help: "`name` of the topic"},
	{name: Group, flag: "group", short: "g", env: "ORDERLY_GROUP", help: "`name` of the consumer group"},
	{name: ClientID, flag: "client-id", env: "ORDERLY_CLIENT_ID", def: "orderly", help: "`name` of this client in the brokers' logs and quotas"},
	{name: Protocol, flag: "security-protocol", env: "ORDERLY_SECURITY_PROTOCOL",
		help: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (default: SSL with a --tls file, SASL_SSL with a mechanism)"},
	{name: CA, flag: "tls-ca", env: "ORDERLY_TLS_CA", help: "PEM `file` of the authorities that brokers' certificates are checked with (default: the system's)"},
	{name: Certificate, flag: "tls-cert", env: "ORDERLY_TLS_CERT", help: "PEM `file` of this client's certificate (mTLS)"},
	{name: PrivateKey, flag: "tls-key", env: "ORDERLY_TLS_KEY", help: "PEM `file` of its private key, not encrypted"},
	{name: SASLMechanism, flag: "sasl-mechanism", env: "ORDERLY_SASL_MECHANISM", help: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
	{name: SASLUsername, flag: "sasl-username", env: "ORDERLY_SASL_USERNAME", help: "`name` of the user"},
	{name: SASLPassword, env: "ORDERLY_SASL_PASSWORD", secret: true},
}

// Settings that say where others come from.
const (
	configFlag, configEnv     = "config", "ORDERLY_CONFIG"
	passwordFlag, passwordEnv = "password-file", "ORDERLY_PASSWORD_FILE"
	localFlag, localEnv       = "local", "ORDERLY_LOCAL"
)

// StoreEnv names the database of the commands that use one.
const StoreEnv = "ORDERLY_STORE_DSN"

func find(name string) *setting {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i]
		}
	}
	return nil
}

// SecretEnv are the variables that hold secrets, so that programs that we start
// need not inherit them.
func SecretEnv() []string {
	var names []string
	for _, s := range settings {
		if s.secret {
			names = append(names, s.env)
		}
	}
	return names
}

// An Error holds all that is wrong with the settings.
type Error struct{ Problems []string }

func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return "the connection settings have several problems:\n  - " + strings.Join(e.Problems, "\n  - ")
}
