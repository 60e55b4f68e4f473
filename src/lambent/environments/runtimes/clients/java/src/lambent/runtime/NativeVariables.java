package lambent.runtime;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The environment as the operating system keeps it, which child processes and native libraries see.
 *
 * <p>Java cannot change its own. But a process may write its own memory: Linux keeps the variables and the table of
 * their addresses on the first stack, and a waiting process is started with room for others there. Linux only, 64 bits,
 * low byte first.
 */
final class NativeVariables {
    // Positions in /proc/self/stat behind the program's name. Source: proc(5).
    private static final int START_STACK = 25;
    private static final int START = 47;
    private static final int END = 48;
    private static final int WORD = 8;
    private static final int ARGUMENTS_MAX = 1_024;

    private NativeVariables() {}

    /** Replace all variables; false when there is no room for them or this system keeps them otherwise. */
    static boolean replace(Map<String, String> variables) {
        try (RandomAccessFile memory = new RandomAccessFile("/proc/self/mem", "rw")) {
            String stat = new String(Files.readAllBytes(Paths.get("/proc/self/stat")), StandardCharsets.ISO_8859_1);
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).trim().split(" ");
            long start = Long.parseUnsignedLong(fields[START]);
            int room = (int) (Long.parseUnsignedLong(fields[END]) - start);
            long table = tableOf(memory, Long.parseUnsignedLong(fields[START_STACK]));
            int slots = count(memory, table, start, start + room);
            ByteArrayOutputStream texts = new ByteArrayOutputStream();
            List<Long> addresses = new ArrayList<>();
            for (Map.Entry<String, String> each : variables.entrySet()) {
                addresses.add(start + texts.size());
                texts.write((each.getKey() + "=" + each.getValue() + "\0").getBytes(StandardCharsets.UTF_8));
            }
            if (texts.size() > room || addresses.size() > slots) return false;
            ByteBuffer words = ByteBuffer.allocate((addresses.size() + 1) * WORD).order(ByteOrder.LITTLE_ENDIAN);
            for (long each : addresses) words.putLong(each);
            byte[] all = new byte[room];
            System.arraycopy(texts.toByteArray(), 0, all, 0, texts.size());
            memory.seek(start);
            memory.write(all);
            memory.seek(table);
            memory.write(words.array());
            return true;
        } catch (IOException | RuntimeException error) {
            return false;
        }
    }

    // The stack begins with the number of arguments, their addresses and a zero; then the variables' addresses follow.
    private static long tableOf(RandomAccessFile memory, long stack) throws IOException {
        long arguments = word(memory, stack);
        if (arguments < 1 || arguments > ARGUMENTS_MAX) throw new IOException("no arguments where they should be");
        long end = stack + WORD * (arguments + 1);
        if (word(memory, end) != 0) throw new IOException("no end of arguments where it should be");
        return end + WORD;
    }

    private static int count(RandomAccessFile memory, long table, long start, long end) throws IOException {
        int slots = 0;
        for (long each = word(memory, table); each != 0; each = word(memory, table + (long) slots * WORD)) {
            if (each < start || each >= end) throw new IOException("the variables have been moved");
            slots++;
        }
        return slots;
    }

    private static long word(RandomAccessFile memory, long address) throws IOException {
        byte[] bytes = new byte[WORD];
        memory.seek(address);
        memory.readFully(bytes);
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    }
}
