# frozen_string_literal: true

require 'json'
require 'stringio'

# How events come in and results go out. Functions replace either method, which is why it has AWS's name and shape.
# Source: AWS's Ruby runtime interface client, observed.
module AwsLambda
  class Marshaller
    class << self
      # `raw_request['Header-Name']` and `raw_request.body` → the event.
      def marshall_request(raw_request)
        return raw_request.body unless raw_request['Content-Type'] == 'application/json'

        JSON.parse(raw_request.body)
      end

      # A result → text, or [something with `read`, its content type].
      def marshall_response(method_response)
        case method_response
        when StringIO, IO then [method_response, 'application/unknown']
        else method_response.to_json
        end
      end
    end
  end
end
