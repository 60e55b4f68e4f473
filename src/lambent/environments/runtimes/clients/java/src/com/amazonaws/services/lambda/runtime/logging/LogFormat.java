package com.amazonaws.services.lambda.runtime.logging;

import java.util.Locale;

/** How log lines are written. */
public enum LogFormat {
    JSON,
    TEXT;

    public static LogFormat fromString(String logFormat) {
        for (LogFormat each : values()) {
            if (logFormat != null && each.name().equals(logFormat.toUpperCase(Locale.ROOT))) return each;
        }
        throw new IllegalArgumentException(
                "Invalid log format: '" + logFormat + "' expected one of [JSON, TEXT]");
    }
}
