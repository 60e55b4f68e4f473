# frozen_string_literal: true

# Lambent's Ruby runtime. Two ways to start:
# - descriptor 3 is a socket: exercise the client, say "ready", wait for a line {"variables": {...}}, be the function;
# - no such descriptor: the variables are the process's own, and it is the function at once.
# Ruby 2.7 and newer, nothing but Ruby's own libraries.

# Where the machine lacks the function's locale, Ruby would take variables that are not ASCII for broken text.
if Encoding.find('locale') != Encoding::UTF_8 && !ENV.key?('LC_ALL') && !ENV.values.all?(&:ascii_only?)
  exec({ 'LC_ALL' => 'C.UTF-8' }, RbConfig.ruby, File.expand_path(__FILE__))
end

Encoding.default_external = Encoding::UTF_8
$stdout.sync = true

require_relative 'lib/lambent_runtime/runtime'
require_relative 'lib/lambent_runtime/waiting'

variables = LambentRuntime::Waiting.receive_variables
LambentRuntime::Waiting.become(variables, File.expand_path(__FILE__)) if variables
LambentRuntime.run_function
