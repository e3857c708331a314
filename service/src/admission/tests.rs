use super::*;

fn caller(number: u128, is_limited: bool) -> Caller {
    let id = Uuid::from_u128(number);
    Caller { id, is_limited }
}

fn busy_for(time: Duration) {
    let until = thread_time() + time;
    while thread_time() < until {}
}

async fn waiting(admission: &Arc<Admission>, count: usize) {
    while admission.state().waiting.len() < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_has_used_least_is_next() {
    let admission = Arc::new(Admission::new(1));
    let busy = caller(1, false);
    let first = admission.enter(busy).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (count, number) in [1, 1, 1, 2].into_iter().enumerate() {
        let (admission, order) = (admission.clone(), order.clone());
        let other = admission.clone();
        tasks.push(tokio::spawn(async move {
            let place = admission.enter(caller(number, false)).await.unwrap();
            order.lock().unwrap().push(number);
            let spent = async || compute(|| busy_for(SHORT * 2));
            place.run(spent()).await;
        }));
        waiting(&other, count + 1).await;
    }
    let spent = async || compute(|| busy_for(SHORT * 4));
    first.run(spent()).await;
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [2, 1, 1, 1]);
    assert_eq!(admission.state().free, 1);
}

#[tokio::test]
async fn a_short_request_is_not_held_against_its_caller_unless_it_is_a_part() {
    let admission = Arc::new(Admission::new(1));
    let one = caller(1, false);
    let used = async |is_part: bool| {
        let before = admission
            .state()
            .callers
            .get(&one.id)
            .map(|usage| usage.used);
        let place = admission.enter(one).await.unwrap();
        let place = if is_part { place.of_part() } else { place };
        let spent = async || compute(|| busy_for(SHORT / 2));
        place.run(spent()).await;
        let after = admission.state().callers[&one.id].used;
        after.saturating_sub(before.unwrap_or_default())
    };
    assert!(used(false).await <= REQUEST);
    assert!(used(true).await >= SHORT / 4);
}

#[tokio::test]
async fn places_are_kept_for_who_has_used_little() {
    let admission = Arc::new(Admission::new(4));
    let busy = caller(1, false);
    drop(admission.enter(busy).await.unwrap());
    {
        let mut state = admission.state();
        state.callers.get_mut(&busy.id).unwrap().used = Duration::from_secs(5);
        (state.others, state.beside_others) = (None, 1);
    }
    let mut places = Vec::new();
    for _ in 0..3 {
        places.push(admission.enter(busy).await.unwrap());
    }
    let mut waits = Box::pin(admission.enter(busy));
    assert!(poll(&mut waits).is_none());
    let kept = admission.enter(caller(2, false)).await.unwrap();
    drop(kept);
    // While others ask, there is one for those who have used much.
    for _ in 0..2 {
        drop(places.pop());
        assert!(poll(&mut waits).is_none());
    }
    drop(places.pop());
    assert!(poll(&mut waits).is_some());
}

#[tokio::test]
async fn whoever_gives_up_leaves_no_trace() {
    let admission = Arc::new(Admission::new(1));
    let place = admission.enter(caller(1, true)).await.unwrap();
    for _ in 0..10 {
        let admission = admission.clone();
        let other = admission.clone();
        let waits = tokio::spawn(async move {
            let _place = admission.enter(caller(2, true)).await;
        });
        waiting(&other, 1).await;
        waits.abort();
        assert!(waits.await.unwrap_err().is_cancelled());
    }
    // One who is given the place in the moment in which they go.
    let mut going = Box::pin(admission.enter(caller(3, true)));
    assert!(poll(&mut going).is_none());
    drop(place);
    drop(going);
    let state = admission.state();
    assert_eq!((state.free, state.waiting.len()), (1, 0));
    assert!(state.callers.values().all(|usage| usage.here == 0));
}

/// Polls once.
fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn a_limited_caller_is_told_when_to_go_on_and_others_are_served() {
    let admission = Arc::new(Admission::new(200));
    let mut places = Vec::new();
    for _ in 0..OF_CALLER_MAX {
        places.push(admission.enter(caller(1, true)).await.unwrap());
    }
    let refused = admission.enter(caller(1, true)).await.unwrap_err();
    assert!(matches!(refused, Refused::TooMany { .. }));
    drop(places);
    let usage = |used| {
        let mut state = admission.state();
        for usage in state.callers.values_mut() {
            usage.used = used;
        }
    };
    usage(BURST + Duration::from_millis(4_990));
    let refused = admission.enter(caller(1, true)).await.unwrap_err();
    let after = Duration::from_secs(320);
    assert_eq!(refused, Refused::TooMany { after });
    admission.enter(caller(1, false)).await.unwrap();
    admission.enter(caller(2, true)).await.unwrap();
    usage(Duration::ZERO);
    admission.enter(caller(1, true)).await.unwrap();
}
