package lambent.runtime.json;

/** A number with a fraction or an exponent whose digits are kept until it is known what it becomes. */
final class Decimal extends Number {
    private static final long serialVersionUID = 1L;
    final String text;

    Decimal(String text) {
        this.text = text;
    }

    @Override
    public int intValue() {
        return (int) doubleValue();
    }

    @Override
    public long longValue() {
        return (long) doubleValue();
    }

    @Override
    public float floatValue() {
        return Float.parseFloat(text);
    }

    @Override
    public double doubleValue() {
        return Double.parseDouble(text);
    }

    @Override
    public String toString() {
        return text;
    }
}
