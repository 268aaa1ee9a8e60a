"""kafkasim: a discrete-event simulator of Apache Kafka in ZooKeeper mode."""
