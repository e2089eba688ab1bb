/** Is busy in one function and allocates in another, for so many rounds or until it is killed. */
public class Busy {
    static long sink;
    static Object kept;

    static long busyFunction(long state) {
        for (int i = 0; i < 5_000_000; i++) {
            state = state * 6364136223846793005L + 1;
        }
        return state;
    }

    static void allocatingFunction() {
        for (int i = 0; i < 2_000; i++) {
            kept = new byte[16 << 10];
        }
    }

    public static void main(String[] arguments) {
        long rounds = arguments.length > 0 ? Long.parseLong(arguments[0]) : Long.MAX_VALUE;
        for (long round = 0; round < rounds; round++) {
            sink = busyFunction(sink);
            allocatingFunction();
        }
    }
}
