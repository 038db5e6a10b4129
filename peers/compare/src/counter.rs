//! A proxy between an app and its server that counts round trips, and can make the way longer.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crate::Result;

/// It counts how often a client speaks after it was spoken to, on any connection. It lives as long as the program.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    trips: Arc<AtomicU64>,
    /// How long everything takes, each way.
    delay_us: Arc<AtomicU64>,
    pub(crate) port: u16,
}

impl Counter {
    pub(crate) fn before(server: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let counter = Self { trips: Arc::default(), delay_us: Arc::default(), port };
        let proxy = counter.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // Who cannot be passed on finds its connection closed.
                let _ = pass_on(client, server, &proxy);
            }
        });
        Ok(counter)
    }

    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::SeqCst)
    }

    /// From now on each way takes at least so long, on every connection.
    pub(crate) fn delay(&self, each_way: Duration) {
        self.delay_us.store(u64::try_from(each_way.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    fn wait(&self) {
        let us = self.delay_us.load(Ordering::SeqCst);
        if us > 0 {
            thread::sleep(Duration::from_micros(us));
        }
    }
}

fn pass_on(client: TcpStream, server: u16, proxy: &Counter) -> Result {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, from_server) = (client.try_clone()?, server.try_clone()?);
    let client_spoke = Arc::new(AtomicBool::new(false));
    let (spoke, to_server, to_client) = (Arc::clone(&client_spoke), proxy.clone(), proxy.clone());
    pump(from_client, server, move || {
        if !spoke.swap(true, Ordering::SeqCst) {
            to_server.trips.fetch_add(1, Ordering::SeqCst);
        }
        to_server.wait();
    });
    pump(from_server, client, move || {
        client_spoke.store(false, Ordering::SeqCst);
        to_client.wait();
    });
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

    #[test]
    fn a_longer_way_takes_at_least_as_long_as_it_was_told() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let counter = Counter::before(server.local_addr().unwrap().port()).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, counter.port)).unwrap();
        let (mut served, _) = server.accept().unwrap();
        counter.delay(Duration::from_millis(5));
        let (began, mut byte) = (std::time::Instant::now(), [0]);
        client.write_all(b"a").unwrap();
        served.read_exact(&mut byte).unwrap();
        served.write_all(b"b").unwrap();
        client.read_exact(&mut byte).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(10));
    }
}
