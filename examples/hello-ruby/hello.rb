# frozen_string_literal: true

# Greets whoever the event names.

require 'logger'

LOGGER = Logger.new($stdout)

def handler(event:, context:)
  LOGGER.info("greeting #{event['name'] || 'nobody'}")
  {
    message: "Hello, #{event['name'] || 'world'}!",
    function: context.function_name,
    remaining_ms: context.get_remaining_time_in_millis
  }
end
