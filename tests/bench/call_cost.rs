//! What a call to a handler costs where the handler runs in a process of its own, over one inside the
//! server. certdock itself measures it, since nobody else can make the call.

use certdock_tests::World;
use serde_json::Value;

/// In microseconds, at the median, on processors that are awake.
const AIM: f64 = 30.0;

/// Whether the aim is met, and the figures.
pub(crate) async fn measure() -> (bool, String) {
    let world = World::prepare(|_| {}).await;
    let measured = world.server.command(&["call-cost"]).run().await.success();
    let costs: Value = serde_json::from_str(&measured.stdout).unwrap();
    let time = |when: &str, place: &str, at: &str| costs[0][when][place][at].as_f64().unwrap();
    let more = |when| time(when, "process", "p50") - time(when, "in_process", "p50");
    let text = format!(
        "a call to a handler in a process of its own costs at most {AIM} µs more at p50: {:.1} µs \
         (p50 {:.1} and p99 {:.1} µs, inside the server {:.1} and {:.1} µs; a bare exchange {:.1} µs). \
         Where processors fall asleep between calls: {:.1} µs more, a bare exchange {:.1} µs",
        more("awake"),
        time("awake", "process", "p50"),
        time("awake", "process", "p99"),
        time("awake", "in_process", "p50"),
        time("awake", "in_process", "p99"),
        time("awake", "bare_exchange", "p50"),
        more("as_they_are"),
        time("as_they_are", "bare_exchange", "p50"),
    );
    (more("awake") <= AIM, text)
}
