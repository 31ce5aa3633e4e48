//! The servers under comparison, each in front of an origin of its own.
//!
//! Each listens on a loopback address that belongs to this test run alone, so ports need not be searched for.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::oracle;
use crate::origin::{Origin, Recorded};

/// Where nginx may be.
pub(crate) const NGINX: &[&str] = &["/usr/sbin/nginx"];
/// Where Apache may be.
pub(crate) const APACHE: &[&str] = &["/usr/sbin/apache2", "/usr/sbin/httpd"];

/// The most a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that passes requests on to an origin.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    origin: Option<Origin>,
    /// `None` if it lives in this process.
    process: Option<Child>,
}

impl Server {
    /// Ends it and returns what its origin recorded; nothing can be added any more.
    pub(crate) fn finish(mut self) -> Vec<Recorded> {
        self.end();
        let Some(origin) = &self.origin else { return Vec::new() };
        origin.wait_for_the_end();
        origin.recorded()
    }

    fn end(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server that listens, or why it does not.
pub(crate) type Started = Result<Server, Box<dyn std::error::Error>>;

/// The program under test.
pub(crate) fn ours(folder: &Path) -> Started {
    let origin = Origin::start()?;
    let address = origin.address;
    let mut server = ours_before(folder, "ours", 1, address)?;
    server.origin = Some(origin);
    Ok(server)
}

/// The program under test in front of anything.
pub(crate) fn ours_before(
    folder: &Path,
    name: &'static str,
    which: u8,
    origin: SocketAddr,
) -> Started {
    let (address, folder) = (own_address(which), subfolder(folder, name)?);
    let ip = address.ip();
    let text = format!(
        "[cluster]\nname = \"differential\"\nstate_dir = \"{}\"\n\
         [announce]\naddress = \"{ip}\"\n\
         [peers]\nlisten = \"off\"\n\
         [http]\nlisten = [\"{address}\"]\nworkers = 1\n\
         [local]\nserver = \"{}\"\nhealth = \"off\"\n\
         [access_log]\nto = \"off\"\n",
        folder.display(),
        origin
    );
    let file = folder.join("backhand.toml");
    fs::write(&file, text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_backhand"));
    command.arg("run").arg("--config").arg(&file);
    start(name, command, &folder, address, None)
}

/// hyper, in this process.
pub(crate) fn hyper(_: &Path) -> Started {
    let origin = Origin::start()?;
    let address = oracle::start(origin.address)?;
    Ok(Server { name: "hyper", address, origin: Some(origin), process: None })
}

/// Debian's nginx, with connections to the origin kept as ours are.
pub(crate) fn nginx(folder: &Path) -> Started {
    let (origin, address) = (Origin::start()?, own_address(2));
    let folder = subfolder(folder, "nginx")?;
    let text = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/error.log;\n\
         events {{}}\n\
         http {{\n  access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;\n\
           fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;\n\
           upstream origin {{ server {1}; keepalive 8; }}\n\
           server {{\n    listen {address};\n\
             location / {{ proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n  }}\n}}\n",
        folder.display(),
        origin.address
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(program(NGINX)?);
    command.arg("-p").arg(&folder).arg("-c").arg(&file);
    start("nginx", command, &folder, address, Some(origin))
}

/// Debian's Apache, likewise.
pub(crate) fn apache(folder: &Path) -> Started {
    const MODULES: &str = "/usr/lib/apache2/modules";
    let (origin, address) = (Origin::start()?, own_address(3));
    let folder = subfolder(folder, "apache")?;
    let text = format!(
        "ServerRoot {0}\nPidFile {0}/pid\nErrorLog {0}/error.log\nServerName a\nListen {address}\n\
         LoadModule mpm_event_module {MODULES}/mod_mpm_event.so\n\
         LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
         LoadModule proxy_module {MODULES}/mod_proxy.so\n\
         LoadModule proxy_http_module {MODULES}/mod_proxy_http.so\n\
         <IfModule unixd_module>\nUser www-data\nGroup www-data\n</IfModule>\n\
         ProxyPass / http://{1}/\n",
        folder.display(),
        origin.address
    );
    let file = folder.join("apache.conf");
    fs::write(&file, text)?;
    let mut command = Command::new(program(APACHE)?);
    // One process, so that ending it ends everything.
    command.arg("-X").arg("-f").arg(&file);
    start("apache", command, &folder, address, Some(origin))
}

/// An address of the loopback network that no other run of this test uses now.
fn own_address(which: u8) -> SocketAddr {
    let id = std::process::id();
    let ip = Ipv4Addr::new(
        127,
        64 | (id >> 14 & 63) as u8,
        (id >> 7 & 127) as u8,
        (id & 127) as u8 | 128,
    );
    (ip, 8000 + u16::from(which)).into()
}

fn subfolder(folder: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = folder.join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// The first of the files that is there.
pub(crate) fn program(places: &[&str]) -> Result<PathBuf, String> {
    places
        .iter()
        .map(PathBuf::from)
        .find(|place| place.is_file())
        .ok_or_else(|| format!("{} is not installed", places[0]))
}

fn start(
    name: &'static str,
    mut command: Command,
    folder: &Path,
    address: SocketAddr,
    origin: Option<Origin>,
) -> Started {
    let said = folder.join("said");
    let output = fs::File::create(&said)?;
    let process =
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn()?;
    let mut server = Server { name, address, origin, process: Some(process) };
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        let ended = server.process.as_mut().map_or(Ok(None), Child::try_wait)?;
        if ended.is_some() || Instant::now() > deadline {
            let words = fs::read_to_string(&said).unwrap_or_default();
            return Err(format!("{name} does not listen on {address}: {words}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}
