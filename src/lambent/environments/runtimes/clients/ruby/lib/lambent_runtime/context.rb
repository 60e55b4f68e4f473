# frozen_string_literal: true

# The object a handler gets as `context:`. Source: developer guide, "Using the Lambda context object to retrieve Ruby
# function information"; its class has the name that AWS's has.

class LambdaContext
  attr_reader :aws_request_id, :client_context, :deadline_ms, :function_name, :function_version, :identity,
              :invoked_function_arn, :log_group_name, :log_stream_name, :memory_limit_in_mb, :tenant_id

  def initialize(request)
    @deadline_ms = request['Lambda-Runtime-Deadline-Ms'].to_i
    @aws_request_id = request['Lambda-Runtime-Aws-Request-Id']
    @invoked_function_arn = request['Lambda-Runtime-Invoked-Function-Arn']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @tenant_id = present(request['Lambda-Runtime-Aws-Tenant-Id'])
    @identity = decode(request['Lambda-Runtime-Cognito-Identity'])
    @client_context = decode(request['Lambda-Runtime-Client-Context'])
    # Remaining time does not jump when somebody sets the clock.
    @ahead_ms = clock_ms(Process::CLOCK_REALTIME) - clock_ms(Process::CLOCK_MONOTONIC)
  end

  # Milliseconds left until the function's time-out, never below 0.
  def get_remaining_time_in_millis
    [@deadline_ms - clock_ms(Process::CLOCK_MONOTONIC) - @ahead_ms, 0].max
  end

  private

  def clock_ms(clock)
    Process.clock_gettime(clock, :millisecond)
  end

  def decode(text)
    JSON.parse(text) if present(text)
  end

  def present(text)
    text unless text.to_s.empty?
  end
end
