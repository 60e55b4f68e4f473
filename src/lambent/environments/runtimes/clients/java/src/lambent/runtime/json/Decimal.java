package lambent.runtime.json;

/** A number with a fraction or an exponent whose digits are kept until it is known what it becomes. */
final class Decimal extends Number {
    private static final long serialVersionUID = 1L;
    private final String text;
    private final double value;

    /** Throws NumberFormatException. */
    Decimal(String text) {
        this.text = text;
        this.value = Double.parseDouble(text);
    }

    @Override
    public int intValue() {
        return (int) value;
    }

    @Override
    public long longValue() {
        return (long) value;
    }

    @Override
    public float floatValue() {
        return Float.parseFloat(text);
    }

    @Override
    public double doubleValue() {
        return value;
    }

    @Override
    public String toString() {
        return text;
    }
}
