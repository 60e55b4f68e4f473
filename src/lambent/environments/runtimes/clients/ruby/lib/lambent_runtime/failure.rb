# frozen_string_literal: true

require 'json'

module LambentRuntime
  # What a caller, the log and X-Ray are told of an exception, in the shapes of AWS's Ruby runtime.
  class Failure
    # Only these are named in the header that becomes a metric's dimension. Source: AWS's client, observed.
    NAMED = %w[
      ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit SystemStackError
    ].freeze
    FRAMES_MAX = 100
    CAUSE_FRAMES_MAX = 15

    # The exception was raised by the function's code; the process cannot go on after it when it is critical.
    def self.of_function(raised)
      new(raised, 'Function')
    end

    def self.of_init(raised)
      new(raised, 'Init')
    end

    def initialize(raised, phase)
      @class_name = raised.class.to_s
      @error_type = "#{phase}<#{@class_name}>"
      @message = readable(raised.message)
      @frames = own_frames(raised.backtrace_locations)
    end

    def header_type
      NAMED.include?(@class_name) ? @error_type : 'Function<UserException>'
    end

    def payload
      JSON.generate(fields)
    end

    # Lines of one record are joined by carriage returns, so that it stays one event in the log.
    def log_text(title)
      "#{title}\n#{JSON.pretty_generate(fields).tr("\n", "\r")}\n"
    end

    def cause
      stack = @frames.first(CAUSE_FRAMES_MAX).map do |frame|
        { path: frame.path, line: frame.lineno, label: frame.label }
      end
      JSON.generate(
        working_directory: Dir.pwd,
        paths: defined?(Gem) ? Gem.paths.path : [],
        exceptions: [{ message: @message, type: @error_type, stack: stack }]
      )
    end

    private

    def fields
      { errorMessage: @message, errorType: @error_type, stackTrace: @frames.map(&:to_s) }
    end

    # The function's frames: those before this runtime's first.
    def own_frames(frames)
      (frames || []).first(FRAMES_MAX).take_while { |frame| !frame.absolute_path.to_s.start_with?(__dir__) }
    end

    def readable(text)
      text = text.to_s
      text = text.dup.force_encoding(Encoding::UTF_8) if text.encoding == Encoding::BINARY
      text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace).scrub
    end
  end
end
