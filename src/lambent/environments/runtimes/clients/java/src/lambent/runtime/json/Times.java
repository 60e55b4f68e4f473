package lambent.runtime.json;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.time.Duration;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.MonthDay;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.Period;
import java.time.Year;
import java.time.YearMonth;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Calendar;
import java.util.Date;
import java.util.GregorianCalendar;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;

/** Dates and times: numbers and arrays when written; numbers, arrays and ISO 8601 when read. */
final class Times {
    private static final long BILLION = 1_000_000_000L;

    private Times() {}

    static void register(Map<Class<?>, Scalars.Conversion> all) {
        all.put(Date.class, tree -> date(tree));
        all.put(Calendar.class, tree -> calendar(tree));
        all.put(GregorianCalendar.class, tree -> calendar(tree));
        all.put(Instant.class, tree -> instant(tree));
        all.put(OffsetDateTime.class, tree -> {
            if (isSeconds(tree)) return instant(tree).atOffset(ZoneOffset.UTC);
            OffsetDateTime read = OffsetDateTime.parse(Scalars.text(tree));
            return read.withOffsetSameInstant(ZoneOffset.UTC);
        });
        all.put(ZonedDateTime.class, tree -> {
            if (isSeconds(tree)) return instant(tree).atZone(ZoneOffset.UTC);
            return ZonedDateTime.parse(Scalars.text(tree)).withZoneSameInstant(ZoneOffset.UTC);
        });
        all.put(LocalDate.class, tree -> {
            boolean isDays = tree instanceof Integer || tree instanceof Long;
            if (isDays) return LocalDate.ofEpochDay(((Number) tree).longValue());
            String text = Scalars.text(tree);
            return text.indexOf('T') < 0 ? LocalDate.parse(text) : localDateTime(text).toLocalDate();
        });
        all.put(LocalDateTime.class, tree -> localDateTime(Scalars.text(tree)));
        all.put(LocalTime.class, tree -> {
            String text = Scalars.text(tree);
            return text.indexOf('T') < 0 ? LocalTime.parse(text) : LocalDateTime.parse(text).toLocalTime();
        });
        all.put(OffsetTime.class, tree -> OffsetTime.parse(Scalars.text(tree)));
        all.put(Duration.class, tree -> {
            if (!(tree instanceof Number)) return Duration.parse(Scalars.text(tree));
            Instant read = instant(tree);
            return Duration.ofSeconds(read.getEpochSecond(), read.getNano());
        });
        all.put(Period.class, tree -> Period.parse(Scalars.text(tree)));
        all.put(Year.class, tree -> tree instanceof Integer ? Year.of((Integer) tree) : Year.parse(Scalars.text(tree)));
        all.put(YearMonth.class, tree -> YearMonth.parse(Scalars.text(tree)));
        all.put(MonthDay.class, tree -> MonthDay.parse(Scalars.text(tree)));
        all.put(ZoneId.class, tree -> ZoneId.of(Scalars.onlyText(tree, "java.time.ZoneId")));
        all.put(ZoneOffset.class, tree -> ZoneOffset.of(Scalars.onlyText(tree, "java.time.ZoneOffset")));
    }

    /** Read what is written as an array, e.g. [2024, 1, 31]; null when the type is not written so. */
    static Object fromArray(List<?> parts, Class<?> type) {
        int[] numbers = new int[7];
        for (int index = 0; index < parts.size() && index < 7; index++) {
            if (!(parts.get(index) instanceof Integer)) return null;
            numbers[index] = (Integer) parts.get(index);
        }
        int count = parts.size();
        if (type == LocalDate.class && count == 3) return LocalDate.of(numbers[0], numbers[1], numbers[2]);
        if (type == LocalDateTime.class && count >= 5) {
            return LocalDateTime.of(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
        }
        if (type == LocalTime.class && count >= 2) return LocalTime.of(numbers[0], numbers[1], numbers[2], numbers[3]);
        if (type == MonthDay.class && count == 2) return MonthDay.of(numbers[0], numbers[1]);
        return type == YearMonth.class && count == 2 ? YearMonth.of(numbers[0], numbers[1]) : null;
    }

    /** Whether a type is written as an array, so that an array of one element does not stand for the element. */
    static boolean isArray(Class<?> type) {
        return type == LocalDate.class || type == LocalDateTime.class || type == LocalTime.class;
    }

    /** Seconds since 1970 with a fraction, as AWS's own events have dates; zero is no date. */
    static Date fromSeconds(Object tree) {
        double seconds;
        try {
            seconds = tree instanceof Number ? ((Number) tree).doubleValue() : Double.parseDouble(Scalars.text(tree));
        } catch (NumberFormatException error) {
            return null;
        }
        return seconds == 0.0 ? null : new Date((long) (seconds * 1000.0));
    }

    private static Date date(Object tree) {
        if (tree instanceof Integer || tree instanceof Long) return new Date(((Number) tree).longValue());
        String text = Scalars.text(tree);
        if (text.isEmpty() || text.equals("null")) return null;
        try {
            if (text.matches("-?\\d+")) return new Date(Long.parseLong(text));
            if (text.matches("\\d{4}-\\d\\d-\\d\\d")) {
                return Date.from(LocalDate.parse(text).atStartOfDay(ZoneOffset.UTC).toInstant());
            }
            if (Character.isDigit(text.charAt(0))) return Date.from(lenientInstant(text));
            return Date.from(Instant.from(DateTimeFormatter.RFC_1123_DATE_TIME.withLocale(Locale.US).parse(text)));
        } catch (java.time.DateTimeException error) {
            throw Scalars.unfit(tree, "java.util.Date",
                    "not a valid representation (error: Failed to parse Date value '" + text + "')");
        }
    }

    // Seconds may be missing, the zone may be "+0100", "+01:00", "Z" or nothing.
    private static Instant lenientInstant(String text) {
        String zone = "";
        String local = text;
        int at = Math.max(text.lastIndexOf('+'), text.lastIndexOf('-'));
        if (text.endsWith("Z")) {
            local = text.substring(0, text.length() - 1);
        } else if (at > 10) {
            zone = text.substring(at);
            local = text.substring(0, at);
        }
        ZoneOffset offset = zone.isEmpty() ? ZoneOffset.UTC : ZoneOffset.of(zone);
        return LocalDateTime.parse(local.replace(' ', 'T')).toInstant(offset);
    }

    private static Calendar calendar(Object tree) {
        Date read = date(tree);
        if (read == null) return null;
        Calendar calendar = new GregorianCalendar(TimeZone.getTimeZone("UTC"));
        calendar.setTime(read);
        return calendar;
    }

    private static Instant instant(Object tree) {
        if (tree instanceof Integer || tree instanceof Long) return Instant.ofEpochSecond(((Number) tree).longValue());
        if (tree instanceof BigInteger) throw Scalars.unfit(tree, "java.time.Instant", "out of range");
        if (isSeconds(tree)) {
            BigDecimal read = new BigDecimal(Scalars.text(tree));
            if (read.precision() - read.scale() > 20) return Instant.EPOCH;
            long seconds = read.longValue();
            // The fraction counts upwards before 1970 too.
            long fraction = read.subtract(BigDecimal.valueOf(seconds)).movePointRight(9).longValue();
            return Instant.ofEpochSecond(seconds, Math.abs(fraction));
        }
        return OffsetDateTime.parse(Scalars.text(tree)).toInstant();
    }

    private static boolean isSeconds(Object tree) {
        return tree instanceof Number || Scalars.text(tree).matches("-?\\d+(\\.\\d+)?");
    }

    private static LocalDateTime localDateTime(String text) {
        return text.endsWith("Z")
                ? LocalDateTime.parse(text.substring(0, text.length() - 1))
                : LocalDateTime.parse(text);
    }

    /** Write a value of java.time or java.util; false when it is none. */
    static boolean write(Object value, JsonText text, boolean isEvent) {
        if (value instanceof Date) {
            writeDate((Date) value, text, isEvent);
        } else if (value instanceof Calendar) {
            text.raw(Long.toString(((Calendar) value).getTimeInMillis()));
        } else if (value instanceof Instant) {
            writeSeconds(((Instant) value).getEpochSecond(), ((Instant) value).getNano(), text);
        } else if (value instanceof OffsetDateTime) {
            writeSeconds(((OffsetDateTime) value).toEpochSecond(), ((OffsetDateTime) value).getNano(), text);
        } else if (value instanceof ZonedDateTime) {
            writeSeconds(((ZonedDateTime) value).toEpochSecond(), ((ZonedDateTime) value).getNano(), text);
        } else if (value instanceof Duration) {
            writeSeconds(((Duration) value).getSeconds(), ((Duration) value).getNano(), text);
        } else if (value instanceof LocalDate) {
            text.symbol('[');
            writeDay((LocalDate) value, text);
            text.symbol(']');
        } else if (value instanceof LocalDateTime) {
            text.symbol('[');
            writeDay(((LocalDateTime) value).toLocalDate(), text);
            text.symbol(',');
            writeTime(((LocalDateTime) value).toLocalTime(), text);
            text.symbol(']');
        } else if (value instanceof LocalTime) {
            text.symbol('[');
            writeTime((LocalTime) value, text);
            text.symbol(']');
        } else if (value instanceof OffsetTime) {
            text.symbol('[');
            writeTime(((OffsetTime) value).toLocalTime(), text);
            text.symbol(',');
            text.string(((OffsetTime) value).getOffset().toString());
            text.symbol(']');
        } else {
            return writeRare(value, text);
        }
        return true;
    }

    private static boolean writeRare(Object value, JsonText text) {
        if (value instanceof Year) {
            text.raw(Integer.toString(((Year) value).getValue()));
        } else if (value instanceof YearMonth) {
            YearMonth month = (YearMonth) value;
            text.raw("[" + month.getYear() + "," + month.getMonthValue() + "]");
        } else if (value instanceof Period || value instanceof ZoneId || value instanceof MonthDay) {
            text.string(value.toString());
        } else {
            return false;
        }
        return true;
    }

    private static void writeDate(Date value, JsonText text, boolean isEvent) {
        if (value.getClass().getName().equals("java.sql.Time")) text.string(value.toString());
        else if (isEvent) text.raw(Double.toString(value.getTime() / 1000.0));
        else text.raw(Long.toString(value.getTime()));
    }

    private static void writeSeconds(long seconds, int nanoseconds, JsonText text) {
        if (nanoseconds == 0 && seconds == 0) {
            text.raw("0.0");
            return;
        }
        text.raw(BigDecimal.valueOf(seconds).add(BigDecimal.valueOf(nanoseconds, 9)).setScale(9).toString());
    }

    private static void writeDay(LocalDate day, JsonText text) {
        text.raw(day.getYear() + "," + day.getMonthValue() + "," + day.getDayOfMonth());
    }

    private static void writeTime(LocalTime time, JsonText text) {
        text.raw(time.getHour() + "," + time.getMinute());
        if (time.getSecond() > 0 || time.getNano() > 0) {
            text.raw("," + time.getSecond());
            if (time.getNano() > 0) text.raw("," + time.getNano() % BILLION);
        }
    }
}
