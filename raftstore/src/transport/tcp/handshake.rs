//! Who is let in, decided without a socket.

use super::peers::About;
use crate::codec::{Hello, HelloReply, Purpose, Speaker};
use crate::ids::{Life, StoreId};
use crate::transport::Identity;
use crate::wire::frame;

/// What a greeting came to.
pub(super) type Verdict<T> = Result<T, String>;

/// Whether `hello` is from the peer of which we know `about`; `None` if there is no such peer.
pub(super) fn judge_hello(own: Identity, hello: &Hello, about: Option<&About>) -> Verdict<Purpose> {
    let purpose = hello.purpose().ok_or("a connection for a purpose that this release does not know")?;
    if hello.to() != own.store {
        return Err(format!("it looks for {} where {} is now", hello.to(), own.store));
    }
    judge_speaker(own, &hello.speaker, about)?;
    if hello.speaker.frame_version != frame::VERSION {
        let (theirs, ours) = (hello.speaker.frame_version, frame::VERSION);
        return Err(format!("it would send frames of version {theirs}, but version {ours} is spoken here"));
    }
    Ok(purpose)
}

/// Whether `reply` is a welcome, from the peer that was `dialed`.
pub(super) fn judge_reply(own: Identity, reply: &HelloReply, dialed: StoreId, about: &About) -> Verdict<()> {
    let who = reply.speaker.identity();
    if who.store != dialed {
        return Err(format!("at {} we looked for {dialed} and found {}", about.addr, who.store));
    }
    if let Some(reason) = &reply.refusal {
        return Err(format!("{} refused us: {reason}", who.store));
    }
    judge_speaker(own, &reply.speaker, Some(about))
}

/// Takes note of who was met. Returns the newest life of it that was met before.
pub(super) fn remember(about: &mut About, who: Identity) -> Option<Life> {
    let life_before = about.life;
    about.uuid = Some(who.uuid);
    about.life = life_before.max(Some(who.life));
    life_before
}

fn judge_speaker(own: Identity, speaker: &Speaker, about: Option<&About>) -> Verdict<()> {
    let who = speaker.identity();
    if who.cluster != own.cluster {
        return Err(format!("{} is of cluster {}, not of {}", who.store, who.cluster, own.cluster));
    }
    let Some(about) = about else {
        return Err(format!("{} is not a peer of {}", who.store, own.store));
    };
    if about.uuid.is_some_and(|uuid| uuid != who.uuid) {
        return Err(format!(
            "a store that calls itself {} is not the one we know: its uuid differs",
            who.store
        ));
    }
    match about.life {
        Some(life) if life > who.life => {
            Err(format!("life {} of {} is over: life {} was met", who.life.0, who.store, life.0))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ClusterId;

    fn identity(store: u32) -> Identity {
        Identity { cluster: ClusterId(1), store: StoreId(store), uuid: [store as u8; 16], life: Life(5) }
    }

    fn about(uuid: Option<[u8; 16]>, life: Option<Life>) -> About {
        About { addr: "127.0.0.1:1".parse().unwrap(), uuid, life, refusal: None }
    }

    fn refusal(hello: Identity, about: Option<&About>) -> String {
        judge_hello(identity(1), &Hello::new(hello, StoreId(1), Purpose::Messages), about).unwrap_err()
    }

    #[test]
    fn the_peer_that_we_know_is_welcome_and_so_is_its_next_life() {
        let mut about = about(None, None);
        let hello = |identity| Hello::new(identity, StoreId(1), Purpose::Snapshots);
        let next = Identity { life: Life(6), ..identity(2) };
        for identity in [identity(2), identity(2), next] {
            assert_eq!(
                judge_hello(super::tests::identity(1), &hello(identity), Some(&about)),
                Ok(Purpose::Snapshots)
            );
            remember(&mut about, identity);
        }
        assert_eq!(refusal(identity(2), Some(&about)), "life 5 of s00000002 is over: life 6 was met");
    }

    #[test]
    fn everyone_else_is_told_why_not() {
        let foreign = Identity { cluster: ClusterId(9), ..identity(2) };
        let known = about(Some([2; 16]), None);
        let impostor = Identity { uuid: [3; 16], ..identity(2) };
        assert!(refusal(foreign, Some(&known)).contains("is of cluster c0000000000000009"));
        let lost = Hello::new(identity(2), StoreId(8), Purpose::Messages);
        let verdict = judge_hello(identity(1), &lost, Some(&known));
        assert_eq!(verdict, Err("it looks for s00000008 where s00000001 is now".into()));
        assert!(refusal(identity(2), None).contains("is not a peer of s00000001"));
        assert!(refusal(impostor, Some(&known)).contains("its uuid differs"));
        let reply = HelloReply::new(identity(2), Some("go away".into()));
        let verdict = |dialed| judge_reply(identity(1), &reply, StoreId(dialed), &known);
        assert_eq!(verdict(2), Err("s00000002 refused us: go away".into()));
        assert_eq!(verdict(3), Err("at 127.0.0.1:1 we looked for s00000003 and found s00000002".into()));
    }
}
