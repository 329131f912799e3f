"""What Prometheus and Grafana are told of a stack in a cluster: alerts, and pages to look at. All of it is made from settings alone."""
