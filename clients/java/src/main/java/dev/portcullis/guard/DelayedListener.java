package dev.portcullis.guard;

import io.grpc.ServerCall;
import java.util.ArrayList;
import java.util.List;

/** Keeps what happens to a call until there is somebody to tell it, and tells it in order. */
final class DelayedListener<Q> extends ServerCall.Listener<Q> {
    private List<Runnable> kept = new ArrayList<>();
    private ServerCall.Listener<Q> receiver;
    private volatile boolean open;

    /** Tells {@code receiver} what was kept, and from then on all at once. */
    void open(ServerCall.Listener<Q> receiver) {
        this.receiver = receiver;
        while (true) {
            List<Runnable> events;
            synchronized (this) {
                if (kept.isEmpty()) {
                    open = true;
                    return;
                }
                events = kept;
                kept = new ArrayList<>();
            }
            events.forEach(Runnable::run);
        }
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
