# frozen_string_literal: true

# The Runtime API (2018-06-01) over one raw keep-alive connection. An answer and the question for the next invocation
# leave in one write. Source: AWS Lambda developer guide, "Using the Lambda runtime API".

require 'socket'

module LambentRuntime
  # One answer of GET next, as marshallers and contexts see it.
  class RawRequest
    attr_reader :body

    def initialize(headers, body)
      @headers = headers
      @body = body
    end

    # Return a header's text; its name in any case.
    def [](name)
      @headers[name.downcase]
    end
  end

  # The Runtime API went away or answered something it never should.
  class ApiError < StandardError; end

  # The connection. Not for several threads at once.
  class Api
    PREFIX = '/2018-06-01/runtime/'
    READ_BYTES = 262_144
    JOIN_BYTES_MAX = 1_048_576
    # Larger causes are left out, as a head of this size is refused by the other end.
    CAUSE_BYTES_MAX = 32_768
    HEAD_END = "\r\n\r\n".b.freeze
    LINE_END = "\r\n".b.freeze

    def initialize(address, socket = nil)
      @address = address
      @socket = socket
      @buffer = String.new(encoding: Encoding::BINARY)
      @piece = String.new(encoding: Encoding::BINARY)
      @common = "Host: #{address}\r\nUser-Agent: lambent-ruby/#{RUBY_VERSION}\r\n"
      @next_request = "GET #{PREFIX}invocation/next HTTP/1.1\r\n#{@common}\r\n".b.freeze
    end

    # Ask for the next invocation and wait for it: a RawRequest.
    def next_invocation
      write(@next_request)
      read_invocation
    end

    # Send a result (bytes) and wait for the next invocation.
    def respond_and_next(request_id, body, content_type)
      post_and_next("invocation/#{request_id}/response", body, "Content-Type: #{one_line(content_type)}\r\n")
    end

    # Send an error payload and wait for the next invocation. `cause` is X-Ray's JSON.
    def fail_and_next(request_id, body, error_type, cause)
      post_and_next("invocation/#{request_id}/error", body, error_headers(error_type, cause))
    end

    # Send an error of the current invocation, for a process that ends afterwards.
    def fail(request_id, body, error_type, cause)
      write(post("invocation/#{request_id}/error", body, error_headers(error_type, cause)))
      read_answer
    end

    # Report that the function could not be loaded.
    def fail_init(body, error_type)
      write(post('init/error', body, error_headers(error_type, nil)))
      read_answer
    end

    def close
      @socket&.close
      @socket = nil
      @buffer.clear
    end

    private

    def post(path, body, headers)
      head = "POST #{PREFIX}#{path} HTTP/1.1\r\n#{headers}#{@common}Content-Length: #{body.bytesize}\r\n\r\n"
      head.b << body.b
    end

    def post_and_next(path, body, headers)
      request = post(path, body, headers)
      if request.bytesize <= JOIN_BYTES_MAX
        write(request << @next_request)
      else
        write(request)
        @socket.write(@next_request)
      end
      _, _, _, is_open = read_answer
      return read_invocation if is_open

      close
      next_invocation
    end

    def error_headers(error_type, cause)
      headers = "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: #{one_line(error_type)}\r\n"
      return headers if cause.nil? || cause.bytesize > CAUSE_BYTES_MAX

      "#{headers}Lambda-Runtime-Function-XRay-Error-Cause: #{one_line(cause)}\r\n"
    end

    def write(bytes)
      connect if @socket.nil?
      @socket.write(bytes)
    end

    def connect
      host, _, port = @address.rpartition(':')
      host, port = port, '80' if host.empty?
      @socket = TCPSocket.new(host, port.to_i)
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      @socket.sync = true
    end

    def read_invocation
      status, headers, body, is_open = read_answer
      close unless is_open
      raise ApiError, "Received #{status} when waiting for next invocation." unless status == 200

      RawRequest.new(headers, body)
    end

    # Return status, headers, body, and whether the connection stays open.
    def read_answer
      receive until (size = @buffer.index(HEAD_END))
      lines = @buffer.slice!(0, size + HEAD_END.bytesize).force_encoding(Encoding::UTF_8).scrub.split("\r\n")
      status = lines.shift.to_s.split(' ', 3)[1].to_i
      return read_answer if status == 100
      raise ApiError, 'The Runtime API sent no HTTP answer' if status.zero?

      headers = {}
      lines.each do |line|
        name, _, value = line.partition(':')
        headers[name.downcase] = value.strip
      end
      [status, headers, read_body(headers), headers['connection'].to_s.downcase != 'close']
    end

    def read_body(headers)
      return take(headers['content-length'].to_i) unless headers['transfer-encoding'].to_s.downcase == 'chunked'

      body = String.new(encoding: Encoding::BINARY)
      until (size = line.to_i(16)).zero?
        body << take(size)
        line
      end
      nil until line.empty?
      body
    end

    def line
      receive until (size = @buffer.index(LINE_END))
      @buffer.slice!(0, size + LINE_END.bytesize).chomp
    end

    def take(size)
      receive while @buffer.bytesize < size
      @buffer.slice!(0, size)
    end

    # A signal's handler runs while this waits, and the wait goes on after it.
    def receive
      @buffer << @socket.readpartial(READ_BYTES, @piece)
    rescue EOFError
      close
      raise ApiError, 'The Runtime API closed the connection'
    end

    def one_line(text)
      text.to_s.tr("\r\n", '  ')
    end
  end
end
