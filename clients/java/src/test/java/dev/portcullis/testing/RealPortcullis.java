package dev.portcullis.testing;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The program that the variable PORTCULLIS_TEST_PROGRAM names, serving a new store in a folder of its own. */
public final class RealPortcullis implements AutoCloseable {
    public static final String ROOT_KEY = "root_of_the_real_server_0123456789";

    private final Process process;
    private final String address;

    private RealPortcullis(Process process, String address) {
        this.process = process;
        this.address = address;
    }

    public static RealPortcullis start(Path folder, String... flags) throws IOException {
        String program = System.getenv("PORTCULLIS_TEST_PROGRAM");
        if (program == null) {
            throw new IllegalStateException("PORTCULLIS_TEST_PROGRAM must name the server program");
        }
        List<String> command = new ArrayList<>(
                List.of(Path.of(program).toAbsolutePath().toString(), "serve", "--listen", "127.0.0.1:0"));
        command.addAll(List.of(flags));
        ProcessBuilder builder =
                new ProcessBuilder(command).directory(folder.toFile()).redirectOutput(ProcessBuilder.Redirect.DISCARD);
        builder.environment().put("PORTCULLIS_BOOTSTRAP_ROOT_KEY", ROOT_KEY);
        Process process = builder.start();
        BufferedReader log = process.errorReader();
        StringBuilder said = new StringBuilder();
        for (String line = log.readLine(); line != null; line = log.readLine()) {
            if (line.startsWith("listening on ")) {
                // So that the pipe never fills up.
                Thread drain = new Thread(() -> log.lines().forEach(ignored -> {}));
                drain.setDaemon(true);
                drain.start();
                return new RealPortcullis(process, line.substring("listening on ".length()));
            }
            said.append(line).append('\n');
        }
        throw new IllegalStateException("The server did not start: " + said);
    }

    /** HOST:PORT. */
    public String address() {
        return address;
    }

    @Override
    public void close() {
        // Until it is gone, the folder cannot go.
        process.destroyForcibly().onExit().join();
    }
}
