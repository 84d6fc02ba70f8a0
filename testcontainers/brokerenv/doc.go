// Package brokerenv names the environment variable by which a test run shares one
// broker. It is apart from brokertest so that the program does not link testing.
package brokerenv
