package com.amazonaws.services.lambda.runtime;

import java.io.IOException;

/** Where code without a context finds the logger. */
public final class LambdaRuntime {
    // The runtime replaces it before the function is loaded.
    private static volatile LambdaLogger logger = new LambdaLogger() {
        @Override
        public void log(String message) {
            System.out.print(message);
        }

        @Override
        public void log(byte[] message) {
            try {
                System.out.write(message);
            } catch (IOException error) {
                error.printStackTrace();
            }
        }
    };

    private LambdaRuntime() {}

    public static LambdaLogger getLogger() {
        return logger;
    }
}
