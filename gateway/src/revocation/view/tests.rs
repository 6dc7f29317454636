use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ACCESS_LIFE: Duration = Duration::from_mins(15);
const BOUND: Duration = Duration::from_mins(1);

fn here() -> Partition {
    crate::ids::PartitionCount::ONE.all().next().unwrap()
}

fn jti(number: u64) -> Jti {
    Jti::from_bytes(id(number))
}

fn sid(number: u64) -> SessionId {
    SessionId::from_bytes(id(number))
}

/// As random as those of production, but the same each time.
fn id(number: u64) -> [u8; 16] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &number.to_be_bytes());
    digest.as_ref()[..16].try_into().unwrap()
}

fn subject(number: u64) -> Subject {
    Subject::parse(&format!("user-{number}")).unwrap()
}

fn at(secs: u64) -> Timestamp {
    NOW.after(Duration::from_secs(secs))
}

fn fresh() -> View {
    let view = View::new(Some(BOUND));
    view.synced(Instant::now());
    view
}

/// What is asked about: a token of a session of a user, at an epoch.
#[derive(Clone, Copy, Debug)]
struct Asked(u64, u64, u64, u64);

impl Asked {
    fn of(self, view: &View, now: Timestamp) -> Verdict {
        let Self(user, session, token, epoch) = self;
        view.verdict(&Stand { subject: &subject(user), sid: sid(session), jti: jti(token), epoch }, now)
    }
}

/// The plainest possible view: everything it was told, looked through from the start each time.
fn naive(told: &[Revocation], Asked(user, session, token, epoch): Asked, now: Timestamp) -> Verdict {
    let mut known = (0, false);
    for one in told {
        match one {
            Revocation::Token { jti: other, until } if *other == jti(token) && *until > now => return Verdict::Revoked,
            Revocation::Session { sid: other, until } if *other == sid(session) && *until > now => {
                return Verdict::Revoked;
            }
            Revocation::User { subject: other, epoch, disabled } if *other == subject(user) && *epoch >= known.0 => {
                known = (*epoch, *disabled);
            }
            _ => {}
        }
    }
    if known.0 > epoch || known.1 { Verdict::Revoked } else { Verdict::Stands }
}

fn revocation() -> impl Strategy<Value = Revocation> {
    prop_oneof![
        (0_u64..6, 0_u64..2000).prop_map(|(number, secs)| Revocation::Token { jti: jti(number), until: at(secs) }),
        (0_u64..6, 0_u64..2000).prop_map(|(number, secs)| Revocation::Session { sid: sid(number), until: at(secs) }),
        (0_u64..4, 0_u64..6, any::<bool>()).prop_map(|(number, epoch, disabled)| Revocation::User {
            subject: subject(number),
            epoch,
            disabled
        }),
    ]
}

fn asked() -> impl Strategy<Value = (Asked, Timestamp)> {
    (0_u64..4, 0_u64..6, 0_u64..6, 0_u64..6, 0_u64..2000)
        .prop_map(|(user, session, token, epoch, secs)| (Asked(user, session, token, epoch), at(secs)))
}

/// Users' words in the order in which they were said; everything else in any.
fn shuffled(told: &[Revocation], keys: &[u16]) -> Vec<Revocation> {
    let mut others: Vec<_> = told.iter().filter(|one| !matches!(one, Revocation::User { .. })).zip(keys).collect();
    others.sort_by_key(|(_, key)| **key);
    let users = told.iter().filter(|one| matches!(one, Revocation::User { .. }));
    others.into_iter().map(|(one, _)| one).chain(users).cloned().collect()
}

proptest! {
    #[test]
    fn it_says_what_a_list_of_all_that_was_ever_said_says(
        told in prop::collection::vec(revocation(), 0..40),
        keys in prop::collection::vec(any::<u16>(), 40),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        asked in prop::collection::vec(asked(), 1..40),
    ) {
        let in_order = fresh();
        let reordered = fresh();
        for one in &told {
            in_order.apply(here(), one);
        }
        for one in &shuffled(&told, &keys) {
            reordered.apply(here(), one);
        }
        // Whatever is no user's may be said again at any time; a user's last word, too.
        let mut last = HashMap::new();
        for one in &told {
            if let Revocation::User { subject, epoch, .. } = one {
                let known = last.entry(subject.clone()).or_insert((*epoch, one));
                *known = if *epoch >= known.0 { (*epoch, one) } else { *known };
            }
        }
        for index in again.iter().filter(|_| !told.is_empty()) {
            match index.get(&told) {
                Revocation::User { subject, .. } => reordered.apply(here(), last[subject].1),
                one => reordered.apply(here(), one),
            }
        }
        for (asked, now) in asked {
            let expected = naive(&told, asked, now);
            prop_assert_eq!(asked.of(&in_order, now), expected);
            prop_assert_eq!(asked.of(&reordered, now), expected);
        }
    }

    #[test]
    fn sweeping_changes_nothing_for_tokens_that_are_young_enough(
        told in prop::collection::vec(revocation(), 0..40),
        sweep_at in 0_u64..2000,
        asked in prop::collection::vec(asked(), 1..40),
    ) {
        // Epochs that are moments, as they are in production.
        let moments: Vec<_> = told.into_iter().map(|one| match one {
            Revocation::User { subject, epoch, disabled } => {
                Revocation::User { subject, epoch: micros_at(epoch), disabled }
            }
            other => other,
        }).collect();
        let view = fresh();
        for one in &moments {
            view.apply(here(), one);
        }
        view.sweep(ACCESS_LIFE, at(sweep_at));
        for (Asked(user, session, token, epoch), now) in asked {
            let asked = Asked(user, session, token, micros_at(epoch));
            // A token of this epoch was issued then at the earliest.
            let is_young = now >= at(sweep_at) && now < at(epoch * 300).after(ACCESS_LIFE);
            if is_young {
                prop_assert_eq!(asked.of(&view, now), naive(&moments, asked, now));
            }
        }
    }
}

fn micros_at(epoch: u64) -> u64 {
    if epoch == 0 { 0 } else { u64::try_from(at(epoch * 300).as_micros()).unwrap() }
}

const SOMEBODY: Asked = Asked(1, 1, 1, 0);

#[test]
fn it_tells_nothing_before_it_knows_everything_and_once_that_is_too_long_ago() {
    let view = View::new(Some(BOUND));
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Unknown);
    view.synced(Instant::now());
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Stands);
    view.set_max_staleness(None);
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Unknown, "it is not in use");
    view.set_max_staleness(Some(Duration::from_nanos(1)));
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Unknown, "it is too old");
    view.set_max_staleness(Some(BOUND));
    view.doubt(Instant::now());
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Unknown, "something happened since");
    view.synced(Instant::now());
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Stands);
    view.clear();
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Unknown);
}

#[test]
fn what_was_revoked_stays_so_however_old_the_view_is() {
    let raised = Revocation::User { subject: subject(1), epoch: 7, disabled: true };
    let ended = Revocation::Session { sid: sid(1), until: at(60) };
    for told in [raised.clone(), ended] {
        let view = View::new(Some(BOUND));
        view.apply(here(), &told);
        assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Revoked, "{told:?}");
    }
    // But a user who is disabled may have been enabled again.
    let view = fresh();
    view.apply(here(), &raised);
    let newer = Asked(1, 1, 1, 7);
    assert_eq!(newer.of(&view, NOW), Verdict::Revoked);
    view.doubt(Instant::now());
    assert_eq!(newer.of(&view, NOW), Verdict::Unknown);
    view.synced(Instant::now());
    view.apply(here(), &Revocation::User { subject: subject(1), epoch: 7, disabled: false });
    assert_eq!(newer.of(&view, NOW), Verdict::Stands);
    assert_eq!(SOMEBODY.of(&view, NOW), Verdict::Revoked);
}

#[test]
fn what_a_copy_has_left_comes_in_parts_and_whole() {
    let view = fresh();
    let all: Vec<_> = (0..1000)
        .flat_map(|number| {
            let user = Revocation::User { subject: subject(number), epoch: 7, disabled: false };
            let (token, session) = (jti(number), sid(number));
            [Revocation::Token { jti: token, until: at(60) }, Revocation::Session { sid: session, until: at(60) }, user]
        })
        .collect();
    for one in &all {
        view.apply(here(), one);
    }
    view.apply(here(), &Revocation::Token { jti: jti(2000), until: at(0) }); // over
    let mut copy = view.copy(here(), NOW);
    let (theirs, ours) = all.split_at(1300);
    for one in theirs {
        copy.strike(one);
    }
    let parts: Vec<_> = copy.into_parts(500, here(), NOW).collect();
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 500, 200]);
    let left = parts.concat();
    assert!(ours.iter().all(|one| left.contains(one)), "nothing else has been lost");
    assert_eq!(view.sizes(), Sizes { tokens: 1001, sessions: 1000, users: 1000 }, "the view still knows all");
}

#[test]
fn what_is_long_over_is_forgotten_and_its_memory_given_back() {
    let view = fresh();
    let empty = view.bytes();
    for number in 0..10_000 {
        view.apply(here(), &Revocation::Token { jti: jti(number), until: at(60) });
        view.apply(here(), &Revocation::Session { sid: sid(number), until: at(60) });
        let epoch = u64::try_from(NOW.as_micros()).unwrap();
        view.apply(here(), &Revocation::User { subject: subject(number), epoch, disabled: number == 5 });
    }
    assert_eq!(view.sizes(), Sizes { tokens: 10_000, sessions: 10_000, users: 10_000 });
    view.sweep(ACCESS_LIFE, at(60));
    assert_eq!(view.sizes().tokens, 10_000, "clocks differ and step, so not at once");
    view.sweep(ACCESS_LIFE, at(60 * 60));
    assert_eq!(view.sizes(), Sizes { tokens: 0, sessions: 0, users: 1 }, "who is disabled stays");
    assert!(view.bytes() < empty + 1000, "{} bytes", view.bytes());
}

#[test]
fn a_life_that_was_shortened_may_be_lengthened_again() {
    let view = fresh();
    let epoch = u64::try_from(NOW.as_micros()).unwrap();
    view.apply(here(), &Revocation::User { subject: subject(1), epoch, disabled: false });
    view.sweep(Duration::from_hours(3), NOW);
    view.sweep(Duration::from_mins(1), at(60 * 60));
    assert_eq!(view.sizes().users, 1, "a token of before may live for as long as it was issued for");
}

#[test]
fn a_life_of_elsewhere_counts_like_one_of_here() {
    let view = fresh();
    let epoch = u64::try_from(NOW.as_micros()).unwrap();
    view.apply(here(), &Revocation::User { subject: subject(1), epoch, disabled: false });
    view.remember(Memory { access_life: Duration::from_hours(3) });
    view.sweep(Duration::from_mins(1), at(60 * 60));
    assert_eq!(view.sizes().users, 1, "this gateway may be told to accept tokens for as long");
}

/// Makes the revocation of this number.
type Make = fn(u64) -> Revocation;

/// What can be revoked; users by names as long as most are.
const KINDS: [(&str, Make); 3] = [
    ("tokens", |number| Revocation::Token { jti: jti(number), until: at(900) }),
    ("sessions", |number| Revocation::Session { sid: sid(number), until: at(900) }),
    ("users", |number| {
        let subject = Subject::parse(uuid::Uuid::from_u128(number.into()).to_string().as_str()).unwrap();
        Revocation::User { subject, epoch: 7, disabled: false }
    }),
];

#[test]
fn a_million_revocations_fit_in_a_hundred_megabytes() {
    for (kind, make) in KINDS {
        let view = fresh();
        (0..1_000_000).for_each(|number| view.apply(here(), &make(number)));
        let bytes = view.bytes();
        assert!(bytes < 100_000_000, "{kind}: {bytes} bytes");
    }
}

/// `cargo test -p portcullis --lib -- --ignored --nocapture a_million`
#[test]
#[ignore = "a measurement, not a claim"]
fn what_a_million_of_each_kind_cost() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let mut views = Vec::new(); // so that one's memory is not the next one's
    for (kind, make) in KINDS {
        let (view, before) = (fresh(), resident());
        for number in 0..1_000_000 {
            view.apply(here(), &make(number));
        }
        println!("a million {kind}: {} bytes counted, {} resident", view.bytes(), resident() - before);
        let known = (subject(1), SessionId::from_bytes(id(7_000_000)), Jti::from_bytes(id(8_000_000)));
        let stand = Stand { subject: &known.0, sid: known.1, jti: known.2, epoch: 0 };
        let began = Instant::now();
        for _ in 0..1_000_000 {
            assert_eq!(std::hint::black_box(&view).verdict(std::hint::black_box(&stand), NOW), Verdict::Stands);
        }
        println!("a look: {:?}", began.elapsed() / 1_000_000);
        views.push(view);
    }
    let view = fresh();
    let known = (subject(1), sid(1), jti(1));
    let stand = Stand { subject: &known.0, sid: known.1, jti: known.2, epoch: 0 };
    let began = Instant::now();
    for _ in 0..1_000_000 {
        assert_eq!(std::hint::black_box(&view).verdict(std::hint::black_box(&stand), NOW), Verdict::Stands);
    }
    println!("a look where nothing is revoked: {:?}", began.elapsed() / 1_000_000);
}
