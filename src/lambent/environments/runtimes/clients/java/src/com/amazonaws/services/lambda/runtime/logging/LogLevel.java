package com.amazonaws.services.lambda.runtime.logging;

import java.util.Locale;

/** Levels, lowest first. UNDEFINED is that of calls without a level: never filtered. */
public enum LogLevel {
    UNDEFINED,
    TRACE,
    DEBUG,
    INFO,
    WARN,
    ERROR,
    FATAL;

    public static LogLevel fromString(String logLevel) {
        for (LogLevel each : values()) {
            if (logLevel != null && each.name().equals(logLevel.toUpperCase(Locale.ROOT))) return each;
        }
        throw new IllegalArgumentException("Invalid log level: '" + logLevel
                + "' expected one of [TRACE, DEBUG, INFO, WARN, ERROR, FATAL]");
    }
}
