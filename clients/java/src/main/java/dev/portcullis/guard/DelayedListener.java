package dev.portcullis.guard;

import io.grpc.ServerCall;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.function.Supplier;

/** Keeps what happens to a call until there is somebody to tell it, and tells it in order. */
final class DelayedListener<Q> extends ServerCall.Listener<Q> {
    private final Queue<Runnable> kept = new ArrayDeque<>();
    private ServerCall.Listener<Q> receiver;
    private volatile boolean open;

    /**
     * Makes the receiver, tells it what was kept, and from then on all at once. What happens meanwhile waits in the
     * thread that tells it, so that it is this thread, one of the server's, which goes on with it.
     */
    synchronized void open(Supplier<ServerCall.Listener<Q>> handler) {
        receiver = handler.get();
        // The receiver itself may make more happen in the present thread.
        for (Runnable event = kept.poll(); event != null; event = kept.poll()) {
            event.run();
        }
        open = true;
    }

    @Override
    public void onMessage(Q message) {
        tell(() -> receiver.onMessage(message));
    }

    @Override
    public void onHalfClose() {
        tell(() -> receiver.onHalfClose());
    }

    @Override
    public void onCancel() {
        tell(() -> receiver.onCancel());
    }

    @Override
    public void onComplete() {
        tell(() -> receiver.onComplete());
    }

    @Override
    public void onReady() {
        tell(() -> receiver.onReady());
    }

    private void tell(Runnable event) {
        if (!open) {
            synchronized (this) {
                if (!open) {
                    kept.add(event);
                    return;
                }
            }
        }
        event.run();
    }
}
