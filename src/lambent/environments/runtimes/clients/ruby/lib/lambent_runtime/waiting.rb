# frozen_string_literal: true

# A process that is ready before anybody knows which function it will be.

require 'json'
require 'socket'

module LambentRuntime
  # From an exercised process to one that no function can tell from a fresh one.
  module Waiting
    DESCRIPTOR = 3

    # Return the variables that came over descriptor 3, or nil when this process was started as the function.
    def self.receive_variables
      return nil if ENV.key?('_HANDLER')

      control = open_control
      return nil if control.nil?

      exercise unless ENV.key?('LAMBENT_IS_AWAITED')
      control.write("ready\n")
      line = control.gets
      # The other end went away: nobody will ever need this process.
      exit!(0) if line.nil?
      control.close
      JSON.parse(line).fetch('variables')
    end

    # Take the function's variables, with what Ruby does with them when a process starts.
    def self.become(variables, program)
      ENV.replace(variables)
      exec(RbConfig.ruby, program, close_others: true) if brings_what_is_loaded?
      ENV['RUBYLIB'].to_s.split(File::PATH_SEPARATOR).reverse_each do |directory|
        $LOAD_PATH.unshift(directory) unless $LOAD_PATH.include?(directory)
      end
      Random.srand
      Gem.paths = ENV if defined?(Gem)
    end

    def self.exercise
      require_relative 'exercise'
      Exercise.run
    end

    def self.open_control
      return nil unless IO.for_fd(DESCRIPTOR, autoclose: false).stat.socket?

      UNIXSocket.for_fd(DESCRIPTOR)
    rescue Errno::EBADF, Errno::EINVAL
      nil
    end

    # Whether package or layers hold a gem that this process has loaded from Ruby's own: theirs comes first on AWS, so
    # a process of its own must load it.
    def self.brings_what_is_loaded?
      return false unless defined?(Gem)

      ENV['GEM_PATH'].to_s.split(File::PATH_SEPARATOR).any? do |path|
        directory = File.join(path, 'specifications')
        File.directory?(directory) && Dir.children(directory).any? do |name|
          Gem.loaded_specs.key?(name.delete_suffix('.gemspec').rpartition('-').first)
        end
      end
    end
    private_class_method :exercise, :open_control, :brings_what_is_loaded?
  end
end
