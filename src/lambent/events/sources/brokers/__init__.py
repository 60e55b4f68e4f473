"""Message brokers (Amazon MQ): RabbitMQ over AMQP 0-9-1, ActiveMQ over STOMP; one loop for both."""
