import java.io.*;
import static java.nio.charset.StandardCharsets.UTF_8;

class Worker {
    public static void main(String[] args) throws IOException {
        var in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            System.err.println(line); // logs go to stderr; parse the line with your JSON library
            System.out.println(line.contains("broken") ? "{\"error\":\"broken\"}" : "{\"ok\":true}");
        }
    }
}
