//! A file with its precompressed siblings.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{FileType, Stat};

use super::encoding::{Accepted, Coding};
use super::options::Options;
use super::root::Root;
use super::types;
use super::variant::{Identity, Making, Variant};

/// Files below this size are not worth a look for siblings.
const WORTH_COMPRESSING: u64 = 256;
/// How much older than its file a sibling may be. Tools that make or copy both in one go set times that are
/// a moment apart; a sibling older than that was made from another file.
const SIBLING_SLACK_SECS: i64 = 2;

/// A file and its siblings, as found at one moment.
#[derive(Debug)]
pub(super) struct Resource {
    plain: Rc<Variant>,
    siblings: [Option<Rc<Variant>>; 3],
}

/// What a path leads to.
#[derive(Debug)]
pub(super) enum Found {
    File(Resource),
    Directory,
    /// Neither: a pipe, a socket, a device.
    Other,
}

/// How files are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finder<'a> {
    pub(super) root: &'a Root,
    pub(super) options: &'a Options,
    /// The wall clock, in seconds since 1970.
    pub(super) wall: i64,
}

impl Finder<'_> {
    /// Looks at a path beneath the root. What has not changed since `known` is taken from there.
    pub(super) fn find(&self, path: &[u8], known: Option<&Resource>) -> io::Result<Found> {
        let (file, stat) = self.root.open_beneath(path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Found::File(self.resource(path, file, &stat, known))),
            FileType::Directory => Ok(Found::Directory),
            _ => Ok(Found::Other),
        }
    }

    fn resource(
        &self,
        path: &[u8],
        file: OwnedFd,
        stat: &Stat,
        known: Option<&Resource>,
    ) -> Resource {
        let identity = Identity::of(stat);
        let (content_type, compressible) = types::of(path, &self.options.types);
        let look = self.options.precompressed && compressible && identity.len >= WORTH_COMPRESSING;
        let files = if look { self.siblings(path, &identity) } else { [None, None, None] };
        let varies = files.iter().any(Option::is_some);
        let make = |file, identity: Identity, coding, known: Option<&Rc<Variant>>| {
            // Weak ones are made anew: meanwhile they may have settled.
            let same = known.filter(|k| k.identity == identity && !k.validators.weak);
            let same = same.filter(|k| k.varies() == varies);
            same.cloned().unwrap_or_else(|| {
                let keep = self.options.memory > 0;
                let Finder { options, wall, .. } = *self;
                let making = Making { options, content_type, coding, varies, wall, keep };
                Rc::new(Variant::make(file, identity, &making))
            })
        };
        let plain = make(file, identity, None, known.map(|k| &k.plain));
        let mut siblings = [None, None, None];
        for ((place, file), coding) in siblings.iter_mut().zip(files).zip(Coding::ALL) {
            let known = known.and_then(|k| k.siblings[coding as usize].as_ref());
            *place = file.map(|(file, identity)| make(file, identity, Some(coding), known));
        }
        Resource { plain, siblings }
    }

    /// The siblings that are there, regular files, and not older than their file.
    fn siblings(&self, path: &[u8], plain: &Identity) -> [Option<(OwnedFd, Identity)>; 3] {
        let mut name = Vec::with_capacity(path.len() + 4);
        Coding::ALL.map(|coding| {
            name.clear();
            name.extend_from_slice(path);
            name.extend_from_slice(coding.suffix());
            let (file, stat) = self.root.open_beneath(&name).ok()?;
            let identity = Identity::of(&stat);
            let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let young = identity.modified().saturating_add(SIBLING_SLACK_SECS) >= plain.modified();
            (regular && young).then_some((file, identity))
        })
    }
}

impl Resource {
    /// What to send to a client: the most wanted coding, the smallest of those wanted alike, else the file
    /// itself.
    pub(super) fn choose(&self, accepted: impl FnOnce() -> Accepted) -> &Rc<Variant> {
        if self.siblings.iter().all(Option::is_none) {
            return &self.plain;
        }
        let accepted = accepted();
        let wanted = Coding::ALL.into_iter().filter(|coding| accepted.weight(*coding) > 0);
        let there = wanted.filter_map(|c| Some((c, self.siblings[c as usize].as_ref()?)));
        let best = there.min_by_key(|(coding, variant)| {
            (u16::MAX - accepted.weight(*coding), variant.identity.len)
        });
        best.map_or(&self.plain, |(_, variant)| variant)
    }

    /// Bytes of memory it takes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.variants().map(|v| v.weight()).sum::<usize>() + size_of::<Self>()
    }

    /// Descriptors it holds.
    pub(super) fn open(&self) -> usize {
        self.variants().filter(|v| v.is_open()).count()
    }

    fn variants(&self) -> impl Iterator<Item = &Rc<Variant>> {
        std::iter::once(&self.plain).chain(self.siblings.iter().flatten())
    }
}
