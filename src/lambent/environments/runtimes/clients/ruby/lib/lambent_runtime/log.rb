# frozen_string_literal: true

require 'logger'

# Loggers on standard output and error write AWS's lines: the request id between severity and program.
# Source: developer guide, "Log and monitor Ruby Lambda functions"; form observed from AWS's Ruby runtime.
class LogFormatter < Logger::Formatter
  def call(severity, time, progname, msg)
    head = format('%s, [%s #%d] %5s %s -- %s: ', severity[0], format_datetime(time), $$, severity,
                  $_global_aws_request_id, progname)
    # One record is one event of the log: its own line ends become carriage returns.
    "#{head}#{msg2str(msg).to_s.chomp.tr("\n", "\r")}\n".encode(Encoding::UTF_8)
  end
end

module LambentRuntime
  # Goes before Logger's own constructor.
  module FunctionLogger
    def initialize(logdev, *rest, **options)
      if logdev.nil? || logdev.equal?($stdout) || logdev.equal?($stderr)
        logdev ||= $stdout
        options[:formatter] ||= LogFormatter.new
      end
      super(logdev, *rest, **options)
    end
  end
end

Logger.prepend(LambentRuntime::FunctionLogger)
