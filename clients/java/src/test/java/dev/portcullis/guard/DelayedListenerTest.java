package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.ServerCall;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;

class DelayedListenerTest {
    @Test
    void tellsAllInOrder() {
        List<String> told = new ArrayList<>();
        DelayedListener<String> delayed = new DelayedListener<>();
        delayed.onReady();
        delayed.onMessage("kept");
        assertEquals(List.of(), told);

        delayed.open(() -> new ServerCall.Listener<>() {
            @Override
            public void onReady() {
                told.add("ready");
                // What comes while the kept is told goes behind it.
                delayed.onHalfClose();
            }

            @Override
            public void onMessage(String message) {
                told.add(message);
            }

            @Override
            public void onHalfClose() {
                told.add("half-close");
            }

            @Override
            public void onComplete() {
                told.add("complete");
            }

            @Override
            public void onCancel() {
                told.add("cancel");
            }
        });
        delayed.onMessage("later");
        delayed.onComplete();
        delayed.onCancel();

        assertEquals(List.of("ready", "kept", "half-close", "later", "complete", "cancel"), told);
    }

    @Test
    void goesOnInTheThreadOfTheServer() throws Exception {
        DelayedListener<String> delayed = new DelayedListener<>();
        Thread server = new Thread(() -> delayed.onMessage("the request"));
        List<Thread> handling = new CopyOnWriteArrayList<>();

        delayed.open(() -> {
            // As in a call whose first message comes before its handler has begun.
            server.start();
            while (server.getState() != Thread.State.BLOCKED && server.isAlive()) {
                Thread.onSpinWait();
            }
            return new ServerCall.Listener<>() {
                @Override
                public void onMessage(String message) {
                    handling.add(Thread.currentThread());
                }
            };
        });
        server.join();

        assertEquals(List.of(server), handling);
    }
}
