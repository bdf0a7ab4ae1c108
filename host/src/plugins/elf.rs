//! [`Image`]: an ELF shared library whose every promise about its own bytes has been checked.
//!
//! The dynamic linker trusts a file: one that is cut off inside a segment ends the process with
//! SIGBUS. So everything the linker will read without asking is checked here first. What it does ask
//! about (symbols, versions, needed libraries) is left to it.

use object::elf::{
    DT_FINI_ARRAY, DT_FINI_ARRAYSZ, DT_GNU_HASH, DT_HASH, DT_INIT_ARRAY, DT_INIT_ARRAYSZ,
    DT_JMPREL, DT_PLTRELSZ, DT_RELA, DT_RELASZ, DT_RELR, DT_RELRSZ, DT_RPATH, DT_RUNPATH, DT_STRSZ,
    DT_STRTAB, DT_SYMTAB, DT_VERNEED, DT_VERSYM, ET_DYN, FileHeader64, PT_DYNAMIC, PT_GNU_RELRO,
    PT_LOAD, PT_NOTE, PT_TLS, ProgramHeader64, ProgramType,
};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _};
use object::{Endianness, elf};

use super::refusal::Refusal;

type Header = FileHeader64<Endianness>;
type Segment = ProgramHeader64<Endianness>;

#[cfg(target_arch = "x86_64")]
const MACHINE: elf::Machine = elf::EM_X86_64;
#[cfg(target_arch = "aarch64")]
const MACHINE: elf::Machine = elf::EM_AARCH64;
#[cfg(target_arch = "riscv64")]
const MACHINE: elf::Machine = elf::EM_RISCV;

/// Libraries ask for address space by what they say, not by what they hold; none needs more.
const LARGEST_IMAGE: u64 = 1 << 32;

/// A shared library for this machine, checked.
#[derive(Debug)]
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    header: &'a Header,
    segments: &'a [Segment],
    endian: Endianness,
}

impl<'a> Image<'a> {
    /// Checks the bytes of a file.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub(super) fn check(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let header = header(bytes)?;
        let endian = Endianness::Little;
        let segments = header
            .program_headers(endian, bytes)
            .map_err(|_| Refusal::Damaged("its table of segments lies outside the file"))?;
        let image = Self {
            bytes,
            header,
            segments,
            endian,
        };
        image.check_loaded()?;
        image.check_others()?;
        image.check_dynamic()?;
        image.check_section_table()?;
        Ok(image)
    }

    /// The content of all notes with this name and type.
    pub(super) fn notes(&self, name: &[u8], kind: u32) -> impl Iterator<Item = &'a [u8]> {
        let (endian, bytes) = (self.endian, self.bytes);
        self.of_type(PT_NOTE)
            .filter_map(move |segment| segment.notes(endian, bytes).ok().flatten())
            .flat_map(|mut notes| std::iter::from_fn(move || notes.next().ok().flatten()))
            .filter(move |note| note.name() == name && note.n_type(endian).0 == kind)
            .map(|note| note.desc())
    }

    /// The compiler's line in the `.comment` section, which needs not be there.
    pub(super) fn compiler(&self) -> Option<&'a str> {
        let sections = self.header.sections(self.endian, self.bytes).ok()?;
        let (_, section) = sections.section_by_name(self.endian, b".comment")?;
        let comments = section.data(self.endian, self.bytes).ok()?;
        comments
            .split(|byte| *byte == 0)
            .filter_map(|comment| std::str::from_utf8(comment).ok())
            .find_map(|comment| comment.strip_prefix("rustc version "))
            .filter(|version| version.len() < 100 && !version.contains(char::is_control))
    }

    fn of_type(&self, kind: ProgramType) -> impl Iterator<Item = &'a Segment> {
        let endian = self.endian;
        self.segments
            .iter()
            .filter(move |segment| segment.p_type(endian) == kind)
    }

    /// Every loaded segment lies inside the file, in ascending order of addresses.
    fn check_loaded(&self) -> Result<(), Refusal> {
        let mut end_of_last = 0;
        let mut any = false;
        for segment in self.of_type(PT_LOAD) {
            any = true;
            self.check_in_file(segment, "a loaded segment ends after the file does")?;
            let (start, in_memory) = (segment.p_vaddr(self.endian), segment.p_memsz(self.endian));
            if segment.p_filesz(self.endian) > in_memory {
                return Err(Refusal::Damaged(
                    "a segment is larger in the file than in memory",
                ));
            }
            let end = start
                .checked_add(in_memory)
                .filter(|end| *end <= LARGEST_IMAGE);
            let Some(end) = end else {
                return Err(Refusal::Damaged("a segment has an impossible size"));
            };
            if start < end_of_last {
                return Err(Refusal::Damaged("its segments overlap or are out of order"));
            }
            end_of_last = end;
        }
        if any {
            Ok(())
        } else {
            Err(Refusal::NotALibrary("nothing in it is to be loaded"))
        }
    }

    fn check_in_file(&self, segment: &Segment, complaint: &'static str) -> Result<(), Refusal> {
        let (offset, size) = segment.file_range(self.endian);
        let end = offset
            .checked_add(size)
            .and_then(|end| usize::try_from(end).ok());
        match end {
            Some(end) if end <= self.bytes.len() => Ok(()),
            _ => Err(Refusal::Damaged(complaint)),
        }
    }

    /// The other segments that the linker reads or protects lie inside the loaded ones.
    fn check_others(&self) -> Result<(), Refusal> {
        for segment in self.segments {
            let kind = segment.p_type(self.endian);
            if ![PT_DYNAMIC, PT_NOTE, PT_TLS, PT_GNU_RELRO].contains(&kind) {
                continue;
            }
            self.check_in_file(segment, "a segment ends after the file does")?;
            let (start, size) = (segment.p_vaddr(self.endian), segment.p_filesz(self.endian));
            // A note may stand outside of what is loaded; nobody but us reads it.
            if kind != PT_NOTE && !self.is_loaded(start, size) {
                return Err(Refusal::Damaged("a segment is needed but not loaded"));
            }
        }
        Ok(())
    }

    /// Whether these addresses are filled from the file.
    fn is_loaded(&self, start: u64, size: u64) -> bool {
        self.of_type(PT_LOAD).any(|segment| {
            let first = segment.p_vaddr(self.endian);
            let end = first.saturating_add(segment.p_filesz(self.endian));
            start >= first && start.checked_add(size).is_some_and(|wanted| wanted <= end)
        })
    }

    /// The tables that the dynamic section names are loaded, whole where it gives their size.
    fn check_dynamic(&self) -> Result<(), Refusal> {
        let Some(segment) = self.of_type(PT_DYNAMIC).next() else {
            return Err(Refusal::NotALibrary("it has no dynamic section"));
        };
        let entries = segment
            .dynamic(self.endian, self.bytes)
            .ok()
            .flatten()
            .unwrap_or_default();
        let value = |tag| {
            entries
                .iter()
                .take_while(|entry| entry.tag(self.endian) != elf::DT_NULL)
                .find(|entry| entry.tag(self.endian) == tag)
                .map(|entry| entry.val(self.endian))
        };
        if value(DT_RPATH).or(value(DT_RUNPATH)).is_some() {
            return Err(Refusal::SearchPath);
        }
        for needed in [DT_STRTAB, DT_SYMTAB] {
            if value(needed).is_none() {
                return Err(Refusal::Damaged(
                    "its dynamic section lacks the table of symbols",
                ));
            }
        }
        let tables = [
            (DT_STRTAB, Some(DT_STRSZ)),
            (DT_SYMTAB, None),
            (DT_HASH, None),
            (DT_GNU_HASH, None),
            (DT_VERSYM, None),
            (DT_VERNEED, None),
            (DT_RELA, Some(DT_RELASZ)),
            (DT_RELR, Some(DT_RELRSZ)),
            (DT_JMPREL, Some(DT_PLTRELSZ)),
            (DT_INIT_ARRAY, Some(DT_INIT_ARRAYSZ)),
            (DT_FINI_ARRAY, Some(DT_FINI_ARRAYSZ)),
        ];
        for (table, size) in tables {
            let Some(address) = value(table) else {
                continue;
            };
            let size = size.and_then(value).unwrap_or(1);
            if !self.is_loaded(address, size) {
                return Err(Refusal::Damaged(
                    "a dynamic table lies outside of what is loaded",
                ));
            }
        }
        Ok(())
    }

    /// The linker does not read the table of sections, but it stands at the end: a file that is cut
    /// off anywhere is told from a whole one.
    fn check_section_table(&self) -> Result<(), Refusal> {
        match self.header.section_headers(self.endian, self.bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(Refusal::Damaged(
                "its table of sections lies outside the file",
            )),
        }
    }
}

/// How many bytes [`check_header`] looks at.
pub(super) const HEADER_SIZE: usize = size_of::<Header>();

/// Checks the beginning of a file: what it is, and for which machine.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), Refusal> {
    header(bytes).map(drop)
}

fn header(bytes: &[u8]) -> Result<&Header, Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::Empty);
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(Refusal::NotALibrary(
            "it does not begin as an ELF file does",
        ));
    }
    // Class and byte order come first in the file, so that a short file is told what it is.
    if bytes
        .get(4)
        .is_some_and(|class| *class != elf::ELFCLASS64.0)
    {
        return Err(wrong_machine("32 bits"));
    }
    if bytes
        .get(5)
        .is_some_and(|order| *order != elf::ELFDATA2LSB.0)
    {
        return Err(wrong_machine("big-endian"));
    }
    let header =
        Header::parse(bytes).map_err(|_| Refusal::Damaged("its header is not complete"))?;
    if !header.is_supported() {
        return Err(Refusal::Damaged("its header is not as it must be"));
    }
    let machine = header.e_machine(Endianness::Little);
    if machine != MACHINE {
        return Err(wrong_machine(&format!("ELF machine {}", machine.0)));
    }
    if header.e_type(Endianness::Little) != ET_DYN {
        return Err(Refusal::NotALibrary(
            "it is another kind of ELF file, an object or a program",
        ));
    }
    Ok(header)
}

fn wrong_machine(found: &str) -> Refusal {
    Refusal::WrongMachine {
        found: found.to_owned(),
        expected: std::env::consts::ARCH,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plugins::tests::skeleton;

    fn refused(bytes: &[u8]) -> String {
        Image::check(bytes).unwrap_err().to_string()
    }

    #[test]
    fn the_skeleton_is_fine() {
        let bytes = skeleton();
        let image = Image::check(&bytes).unwrap();
        assert_eq!(image.notes(b"certdock", 1).count(), 1);
        // What is loaded can't be stripped.
        assert!(image.of_type(PT_NOTE).any(|note| {
            image.is_loaded(note.p_vaddr(image.endian), note.p_filesz(image.endian))
        }));
        assert!(
            image
                .compiler()
                .is_some_and(|version| version.starts_with("1."))
        );
    }

    #[test]
    fn bad_bytes_are_told_apart() {
        let good = skeleton();
        let patched = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let cases: [(Vec<u8>, &str); 9] = [
            (vec![], "empty"),
            (b"#!/bin/sh\n".to_vec(), "does not begin as an ELF"),
            (b"\x7fELF".to_vec(), "header is not complete"),
            (good[..63].to_vec(), "header is not complete"),
            (good[..64].to_vec(), "table of segments"),
            (patched(4, 1), "32 bits"),
            (patched(5, 2), "big-endian"),
            (patched(18, 0xf3), "another machine (ELF machine 243)"),
            (patched(16, 2), "another kind of ELF"),
        ];
        for (bytes, expected) in cases {
            let message = refused(&bytes);
            assert!(message.contains(expected), "{message}, not {expected}");
            assert!(!message.contains('\n'));
        }
    }

    #[test]
    fn cut_off_anywhere_is_refused() {
        let good = skeleton();
        let near_the_end = (1..200).map(|n| good.len() - n);
        for at in (0..good.len())
            .step_by(good.len() / 500)
            .chain(near_the_end)
        {
            assert!(Image::check(&good[..at]).is_err(), "cut at {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = Image::check(&bytes);
        }

        // The header and the tables behind it are what steers; wild values there must be refused or
        // harmless.
        #[test]
        fn no_header_panics(patches in proptest::collection::vec((0..1024_usize, any::<u8>()), 1..40)) {
            let mut bytes = skeleton();
            for (at, byte) in patches {
                bytes[at] = byte;
            }
            if let Ok(image) = Image::check(&bytes) {
                image.notes(b"certdock", 1).for_each(drop);
                let _ = image.compiler();
            }
        }
    }
}
