//! The matrix that proves the plugin boundary. [`ROWS`] says for each row which tests show it; those
//! that are here have its number in their names.

mod answers;
mod boundary;
mod builds;
mod bystander;
mod identity;
mod isolation;
mod layouts;
mod transcript;
mod versions;

use std::fs;
use std::path::Path;

/// A row: what the plugin is or does, and the tests, as a file and the beginning of their names.
type Row = (&'static str, &'static [(&'static str, &'static str)]);

const MATRIX: &str = "tests/system/plugin/matrix";
const HOST: &str = "host/src/plugins/tests.rs";

const ROWS: &[Row] = &[
    (
        "built by other compilers, at other levels, with and without checks",
        &[
            ("builds.rs", "row_01_whatever_the_options"),
            ("builds.rs", "row_01_whatever_the_compiler"),
        ],
    ),
    (
        "types that are left to the compiler laid out anew",
        &[("builds.rs", "row_02_and_03_")],
    ),
    (
        "the control of that: a type that is left to the compiler",
        &[("builds.rs", "row_02_and_03_")],
    ),
    (
        "built with each minor version of plugin-api, in the host of each",
        &[
            ("versions.rs", "row_04_every_host"),
            ("versions.rs", "row_04_the_server"),
        ],
    ),
    (
        "another root, another extension, another major version, another abi_stable",
        &[
            ("layouts.rs", "row_05_"),
            (HOST, "bad_files_are_refused_with_one_line_each"),
            (HOST, "an_extension_of_another_layout_is_lost_alone"),
        ],
    ),
    (
        "the layout of every type that crosses, as a file",
        &[
            ("plugin-api/src/abi/layouts.rs", "layouts_are_frozen"),
            ("layouts.rs", "row_06_"),
        ],
    ),
    (
        "no library, half a library, no file, somebody else's file",
        &[
            (HOST, "bad_files_are_refused_with_one_line_each"),
            (HOST, "cut_off_anywhere_never_crashes"),
            (
                "host/src/plugins/trust/tests.rs",
                "only_trusted_users_own_a_plugin",
            ),
            (
                "tests/system/plugin/bad_files.rs",
                "bad_files_change_nothing_but_the_log",
            ),
            (
                "tests/system/plugin/trust.rs",
                "a_plugin_that_anybody_may_write_to_never_runs",
            ),
            ("isolation.rs", "row_14_and_16_"),
        ],
    ),
    (
        "changed between check and load, cut off or written over while it serves",
        &[
            (HOST, "a_file_changed_after_it_was_read_changes_nothing"),
            (
                "tests/system/plugin/upgrade/load.rs",
                "a_plugins_file_may_be_damaged_under_load",
            ),
        ],
    ),
    (
        "panics in every function, in a callback of the host's, in the drop of a panic's payload",
        &[
            ("isolation.rs", "row_09_panics_in_every_function()"),
            (
                "isolation.rs",
                "row_09_panics_in_every_function_inside_the_server",
            ),
            (
                "plugin-api/src/abi/round_trip.rs",
                "panics_stay_inside_and_are_told",
            ),
            (
                "plugin-api/src/abi/host_round_trip.rs",
                "a_host_that_panics_does_not_take_the_plugin_along",
            ),
            (
                "plugin-api/src/guard.rs",
                "a_payload_whose_drop_panics_is_contained",
            ),
            (
                HOST,
                "one_that_aborts_on_panic_runs_in_a_process_of_its_own",
            ),
            ("builds.rs", "row_09_one_that_is_built_to_abort_on_panic"),
        ],
    ),
    (
        "aborts, exits, overflows its stack, reads a bad address, takes all memory",
        &[("isolation.rs", "row_10_")],
    ),
    (
        "hangs for ever, is slow, spins",
        &[
            ("isolation.rs", "row_11_hangs_and_spins()"),
            ("isolation.rs", "row_11_hangs_and_spins_inside_the_server"),
            (
                "host/src/worker/tests.rs",
                "one_that_hangs_is_replaced_and_killed",
            ),
        ],
    ),
    (
        "leaks memory, descriptors, threads",
        &[
            ("isolation.rs", "row_12_leaks()"),
            ("isolation.rs", "row_12_whoever_leaks_without_end"),
            ("isolation.rs", "row_12_leaks_inside_the_server"),
        ],
    ),
    (
        "the same code under two names, the same file twice, two major versions at once",
        &[
            ("identity.rs", "row_13_"),
            (HOST, "the_second_file_with_an_id_is_refused"),
            ("layouts.rs", "row_05_"),
        ],
    ),
    (
        "another allocator",
        &[
            ("builds.rs", "row_14_whatever_the_allocator"),
            ("isolation.rs", "row_14_and_16_"),
        ],
    ),
    (
        "a runtime, a log and an OpenSSL of its own",
        &[
            (
                "isolation.rs",
                "row_15_its_own_runtime_and_every_wrong_answer()",
            ),
            (
                "isolation.rs",
                "row_15_its_own_runtime_and_every_wrong_answer_inside_the_server",
            ),
        ],
    ),
    (
        "a constructor that aborts",
        &[
            (
                "isolation.rs",
                "row_14_and_16_other_allocators_and_other_files()",
            ),
            (
                "isolation.rs",
                "row_14_and_16_other_allocators_and_other_files_inside_the_server",
            ),
            (
                "tests/system/plugin/upgrade/refused.rs",
                "a_replacement_that_does_not_open_leaves_the_former_one",
            ),
        ],
    ),
    (
        "the boundary under Miri",
        &[
            ("boundary.rs", "row_17_no_undefined_behaviour"),
            ("boundary.rs", "row_17_no_memory_error"),
        ],
    ),
    (
        "upgraded under load, with certificates pending",
        &[
            (
                "tests/system/plugin/upgrade/load.rs",
                "a_plugin_is_upgraded_and_rolled_back_under_load",
            ),
            (
                "tests/system/plugin/upgrade/pending.rs",
                "pending_enrollments_go_on_with_the_next_generation",
            ),
        ],
    ),
];

#[test]
fn every_row_has_its_tests() {
    assert_eq!(ROWS.len(), 18);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (number, (what, tests)) in (1..).zip(ROWS) {
        for (file, name) in *tests {
            let path = match file.contains('/') {
                true => root.join(file),
                false => root.join(MATRIX).join(file),
            };
            let text = fs::read_to_string(&path).unwrap();
            let there = text.contains(&format!("fn {name}"));
            assert!(there, "row {number}, {what}: {file} has no test {name}");
        }
    }
}
