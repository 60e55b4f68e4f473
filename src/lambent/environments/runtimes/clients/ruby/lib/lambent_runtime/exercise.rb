# frozen_string_literal: true

# Runs the client against a peer of its own, so that a waiting process's first invocation finds everything loaded.

require 'net/http'
require 'socket'
require_relative 'runtime'

module LambentRuntime
  # Needs no network: the two ends are a pair.
  module Exercise
    CALLS = 5
    BODY = '{"key": "value", "list": [1, 2.5, true, null]}'
    ACCEPTED = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" \
               "{\"status\":\"OK\"}\n"

    # Answers like the handler of a function.
    class Handler
      def call_handler(request:, context:)
        AwsLambda::Marshaller.marshall_response('event' => request, 'left' => context.get_remaining_time_in_millis)
      end
    end

    def self.run
      ours, theirs = UNIXSocket.pair
      peer = Thread.new { serve(theirs) }
      runtime = Runtime.new(api = Api.new('127.0.0.1:9001', ours))
      runtime.handler = Handler.new
      request = api.next_invocation
      CALLS.times { request = runtime.answer(request) }
      fail_once
      api.close
      peer.join
      ENV.delete('_X_AMZN_TRACE_ID')
      $_global_aws_request_id = nil
      GC.start
    end

    def self.fail_once
      raise ArgumentError, 'exercise'
    rescue ArgumentError => e
      failure = Failure.of_function(e)
      failure.log_text('')
      failure.payload
      failure.cause
      Logger.new(StringIO.new, formatter: LogFormatter.new).info('exercise')
    end

    def self.serve(socket)
      loop do
        text = socket.readpartial(Api::READ_BYTES)
        accepted = text.start_with?('POST') ? ACCEPTED : ''
        socket.write(
          "#{accepted}HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" \
          "Lambda-Runtime-Aws-Request-Id: exercise\r\nLambda-Runtime-Deadline-Ms: #{Time.now.to_i * 1000}\r\n" \
          "Lambda-Runtime-Trace-Id: Root=1-1-1\r\nContent-Length: #{BODY.bytesize}\r\n\r\n#{BODY}"
        )
      end
    rescue EOFError, Errno::EPIPE, Errno::ECONNRESET
      socket.close
    end
    private_class_method :fail_once, :serve
  end
end
