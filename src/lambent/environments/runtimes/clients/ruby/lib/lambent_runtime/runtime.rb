# frozen_string_literal: true

# Loads the handler and answers invocations for ever, with the conventions of AWS's Ruby runtime.

# What a function finds loaded on AWS and may use without asking for it; the largest part when it does so.
require 'json'
require 'logger'
require 'stringio'
require 'time'
require 'uri'
require_relative 'api'
require_relative 'context'
require_relative 'failure'
require_relative 'handler'
require_relative 'log'
require_relative 'marshaller'

autoload :Net, 'net/http'

module LambentRuntime
  # Exit statuses of AWS's client: of a failed Init, and after an exception that the process cannot survive.
  INIT_STATUS = 252
  CRITICAL_STATUS = 255

  # Be the function's process. Never returns while the platform lives.
  def self.run_function
    root = ENV['LAMBDA_TASK_ROOT'] || Dir.pwd
    # Without its directory the handler is not found, which is said in the words for it.
    Dir.chdir(root) if File.directory?(root)
    runtime = Runtime.new(Api.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API')))
    runtime.load(root, ENV['_HANDLER'].to_s)
    runtime.serve
  end

  # One function's process.
  class Runtime
    attr_writer :handler

    def initialize(api)
      @api = api
    end

    # Load the function's code; its failure ends the process.
    def load(root, name)
      $LOAD_PATH.unshift(root) unless $LOAD_PATH.include?(root)
      @handler = LambdaHandler.new(env_handler: name)
      require @handler.handler_file_name
    rescue SignalException
      raise
    rescue Exception => e
      failure = Failure.of_init(e)
      $stdout.write(failure.log_text('Init error when loading handler '))
      @api.fail_init(failure.payload, failure.header_type)
      exit(INIT_STATUS)
    end

    def serve
      request = @api.next_invocation
      loop { request = answer(request) }
    end

    # Run one invocation, send what came of it, and return the next one.
    def answer(request)
      id = begin_invocation(request)
      begin
        body, content_type = call(request)
      rescue StandardError => e
        return send_failure(id, e, e.is_a?(NameError))
      rescue SignalException
        raise
      rescue Exception => e
        return send_failure(id, e, true)
      end
      @api.respond_and_next(id, body, content_type || 'application/json')
    end

    private

    def begin_invocation(request)
      trace = request['Lambda-Runtime-Trace-Id']
      ENV['_X_AMZN_TRACE_ID'] = trace
      # Known to functions by this name.
      $_global_aws_request_id = request['Lambda-Runtime-Aws-Request-Id']
    end

    def call(request)
      event = AwsLambda::Marshaller.marshall_request(request)
      body, content_type = @handler.call_handler(request: event, context: LambdaContext.new(request))
      body = body.read if content_type == 'application/unknown'
      [body.to_s, content_type]
    end

    # A name that is not there and whatever is no StandardError end the process, after their answer.
    def send_failure(id, raised, is_critical)
      failure = Failure.of_function(raised)
      title = is_critical ? 'Critical exception from handler' : 'Error raised from handler method'
      $stdout.write(failure.log_text(title))
      return @api.fail_and_next(id, failure.payload, failure.header_type, failure.cause) unless is_critical

      @api.fail(id, failure.payload, failure.header_type, failure.cause)
      exit(CRITICAL_STATUS)
    end
  end
end
