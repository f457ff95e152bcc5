"""The tests, and the rig they stand on: a loopback OpenRouter and a runner that starts the real command."""
