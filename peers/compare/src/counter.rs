//! A proxy between an app and its server that counts round trips.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use crate::Result;

/// It counts how often a client speaks after it was spoken to, on any connection. It lives as long as the program.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    trips: Arc<AtomicU64>,
    pub(crate) port: u16,
}

impl Counter {
    pub(crate) fn before(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let counter = Self { trips: Arc::default(), port: listener.local_addr()?.port() };
        let trips = Arc::clone(&counter.trips);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Who cannot be passed on finds its connection closed.
                let _ = pass_on(client, server, &trips);
            }
        });
        Ok(counter)
    }

    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::SeqCst)
    }
}

fn pass_on(client: TcpStream, server: u16, trips: &Arc<AtomicU64>) -> Result {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    let (client_spoke, trips) = (Arc::new(AtomicBool::new(false)), Arc::clone(trips));
    let spoke = Arc::clone(&client_spoke);
    pump(from_client, server, move || {
        if !spoke.swap(true, Ordering::SeqCst) {
            trips.fetch_add(1, Ordering::SeqCst);
        }
    });
    pump(from_server, client, move || client_spoke.store(false, Ordering::SeqCst));
    Ok(())
}

/// Until either side closes; then the other side learns of it.
fn pump(mut from: TcpStream, mut to: TcpStream, before: impl Fn() + Send + 'static) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            before();
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_at_once_is_one_round_trip() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let counter = Counter::before(server.local_addr().unwrap().port()).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, counter.port)).unwrap();
        let (mut served, _) = server.accept().unwrap();
        for trip in 1..=3 {
            let mut bytes = [0; 2];
            client.write_all(b"a").unwrap();
            client.write_all(b"b").unwrap();
            served.read_exact(&mut bytes).unwrap();
            served.write_all(b"ok").unwrap();
            client.read_exact(&mut bytes).unwrap();
            assert_eq!(counter.trips(), trip);
        }
    }
}
