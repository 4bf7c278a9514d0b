use super::*;

const NOW: i64 = 1_000_000;

fn decide(error: &SendError, on_unknown: OnUnknown) -> (String, u64) {
    let policy = RetryPolicy {
        on_unknown,
        ..RetryPolicy::default()
    };
    let now = Time::from_ms(NOW);
    match judge(error, &policy, 3, now, 0.0) {
        Verdict::Rest(rest) => {
            let channel = match rest.channel {
                None => "",
                Some(ChannelRest::Until(_)) => " channel",
                Some(ChannelRest::Paused(_)) => " pause",
            };
            let seconds = rest.due.since(now).as_secs();
            (format!("{}{channel}", rest.reason), seconds)
        }
        Verdict::Dead(death) => (format!("dead {} {}", death.reason, death.state), 0),
    }
}

#[test]
fn every_error_has_its_consequence() {
    let five = Duration::from_secs(5);
    let table = [
        (SendError::Retry(None), "retry", 4),
        (SendError::Retry(Some(five)), "retry", 5),
        (SendError::Throttled(Scope::Contact, five), "throttled", 5),
        (
            SendError::Throttled(Scope::Channel, five),
            "throttled channel",
            5,
        ),
        (SendError::TokenExpired("access"), "retry", 4),
        (SendError::WindowClosed, "dead window_closed failed", 0),
        (SendError::QuotaUsed, "dead window_closed failed", 0),
        (SendError::Gone("a".to_owned()), "dead gone failed", 0),
        (SendError::Blocked, "dead blocked failed", 0),
        (SendError::Payload("x".to_owned()), "dead payload failed", 0),
        (SendError::Account("x".to_owned()), "paused pause", 30),
        (SendError::Unknown, "dead unknown unknown", 0),
        (SendError::Unsupported, "dead unsupported failed", 0),
    ];
    for (error, consequence, seconds) in table {
        let found = decide(&error, OnUnknown::Hold);
        assert_eq!(found, (consequence.to_owned(), seconds), "{error:?}");
    }
    let resent = decide(&SendError::Unknown, OnUnknown::Resend);
    assert_eq!(resent, ("retry".to_owned(), 4));
}

#[test]
fn tries_may_be_bounded() {
    let policy = RetryPolicy {
        attempts_max: Some(3),
        on_unknown: OnUnknown::Resend,
        ..RetryPolicy::default()
    };
    let now = Time::from_ms(NOW);
    for (attempts, dies) in [(2, false), (3, true)] {
        for error in [SendError::Retry(None), SendError::Unknown] {
            let verdict = judge(&error, &policy, attempts, now, 0.0);
            assert_eq!(matches!(verdict, Verdict::Dead(_)), dies, "{error:?}");
        }
    }
    // A throttled message was never looked at: it is not a try that failed.
    let throttled = SendError::Throttled(Scope::Contact, Duration::from_secs(1));
    let verdict = judge(&throttled, &policy, 9, now, 0.0);
    assert!(matches!(verdict, Verdict::Rest(_)));
}

#[test]
fn no_detail_shows_an_address() {
    let error = SendError::Gone("tel:+4912345".to_owned());
    let verdict = judge(&error, &RetryPolicy::default(), 1, Time::from_ms(0), 0.0);
    assert!(!format!("{verdict:?}").contains("4912345"));
}
