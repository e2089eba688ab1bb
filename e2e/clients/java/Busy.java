/** Is busy in one function and allocates in another until it is killed; the agent profiles it. */
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
        while (true) {
            sink = busyFunction(sink);
            allocatingFunction();
        }
    }
}
