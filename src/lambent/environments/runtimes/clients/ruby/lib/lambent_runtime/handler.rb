# frozen_string_literal: true

# _HANDLER, taken apart, and the call. The class has AWS's name because a handler that is not there is reported as a
# method missing on it. Source: developer guide, "Define Lambda function handler in Ruby".
class LambdaHandler
  attr_reader :handler_file_name, :handler_method_name

  def initialize(env_handler:)
    parts = env_handler.split('.')
    case parts.size
    when 2 then @handler_file_name, @handler_method_name = parts
    when 3 then @handler_file_name, @handler_class, @handler_method_name = parts
    else
      raise ArgumentError,
            "Invalid handler #{parts}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where FILENAME " \
            'corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional module/class namespace ' \
            'and METHOD is a callable method. If using CLASS, METHOD must be a class-level method.'
    end
  end

  # Return what the response marshaller makes of the result: a text, or [readable, content type].
  def call_handler(request:, context:)
    arguments = { event: request, context: context }
    result =
      if @handler_class
        Kernel.const_get(@handler_class).send(@handler_method_name, **arguments)
      else
        __send__(@handler_method_name, **arguments)
      end
    AwsLambda::Marshaller.marshall_response(result)
  end
end
