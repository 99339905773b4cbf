"""What Prometheus collects of a server, all workers together."""
