//! What is frozen, and plugins that come with something else.

use std::fs;
use std::path::Path;

use certdock_tests::World;
use certdock_tests::acme::{AccountKey, Client};
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::issue;
use certdock_tests::officer::Officer;
use certdock_tests::versions::{Api, Build, Edit, Source, Versions, today_version};
use http::Method;

use super::versions::{edit, serve};

const SWAPPED: &[Edit] = &[edit(
    "abi/root.rs",
    "    /// Who the plugin is. `[any-thread]`
    pub describe: extern \"C\" fn() -> Description,
    /// The JSON Schema of the handler's configuration; empty if there is none. `[any-thread]`
    pub schema: extern \"C\" fn() -> RString,
",
    "    /// Second.
    pub schema: extern \"C\" fn() -> RString,
    /// First.
    pub describe: extern \"C\" fn() -> Description,
",
)];

const WIDENED: &[Edit] = &[
    edit(
        "abi/root.rs",
        "    pub api_version: RStr<'static>,\n",
        "    pub api_version: RStr<'static>,\n    /// More.\n    pub build: u64,\n",
    ),
    edit(
        "abi/shim.rs",
        "        api_version: super::API_VERSION.into(),\n",
        "        api_version: super::API_VERSION.into(),\n        build: 7,\n",
    ),
    edit(
        "abi/client.rs",
        "            api_version,\n        } = ",
        "            api_version,\n            ..\n        } = ",
    ),
];

const REMOVED: &[Edit] = &[
    edit(
        "abi/root.rs",
        "    pub schema: extern \"C\" fn() -> RString,\n",
        "",
    ),
    edit(
        "abi/root.rs",
        "    /// The JSON Schema of the handler's configuration; empty if there is none. `[any-thread]`\n",
        "",
    ),
    edit(
        "abi/root.rs",
        "            schema: shim::schema::<E>,\n",
        "",
    ),
    edit(
        "abi/client.rs",
        "(self.root.schema())()",
        "abi_stable::std_types::RString::new()",
    ),
];

const REQUIRED: &[Edit] = &[edit(
    "abi/enroll_1.rs",
    "pub struct EnrollStatus(pub u32);",
    "pub struct EnrollStatus(pub u64);",
)];

const OPTIONAL: &[Edit] = &[
    edit(
        "abi/crl_1.rs",
        "    pub next_update: Timestamp,\n",
        "    pub next_update: Timestamp,\n    /// More.\n    pub number: u64,\n",
    ),
    edit(
        "abi/crl_1.rs",
        "            next_update: crl.next_update.into(),\n",
        "            next_update: crl.next_update.into(),\n            number: 7,\n",
    ),
];

/// Packages of one name in one lock file differ in their versions.
const APIS: &[Api] = &[
    changed("swapped", "1.1.101", SWAPPED),
    changed("widened", "1.1.102", WIDENED),
    changed("removed", "1.1.103", REMOVED),
    changed("required", "1.1.104", REQUIRED),
    changed("optional", "1.1.105", OPTIONAL),
    changed("major-2", "2.3.0", &[]),
];

const fn changed(name: &'static str, version: &'static str, edits: &'static [Edit]) -> Api {
    Api {
        name,
        source: Source::Changed(version, edits),
    }
}

/// Row 5: a plugin whose plugin-api is not what its version says is refused; if it is an optional
/// extension that is not, only that one is lost. Another major version is refused by its note.
#[tokio::test(flavor = "multi_thread")]
async fn row_05_another_layout_is_refused() {
    let names: Vec<_> = APIS.iter().map(|api| api.name).collect();
    let build = Build {
        name: "other-layouts",
        ..Build::default()
    };
    let built = Versions::write("layouts", APIS)
        .build(build, &names, &[])
        .await;
    let mut world = World::prepare(|settings| settings.more = serve("optional")).await;
    for name in &names {
        let file = built.plugin(name);
        fs::copy(
            &file,
            world.server.plugins().join(file.file_name().unwrap()),
        )
        .unwrap();
    }
    let _officer = Officer::start(&world.server.dir().join("optional"));
    world.server.restart();
    let list = world.server.command(&["plugin", "list"]).run().await;
    let list = list.success().stdout;
    let today = today_version();
    let both = ["plugin-api 2.3.0", today.as_str()];
    let expected: [(&str, &[&str]); 5] = [
        ("swapped", &["laid out differently"]),
        ("widened", &["laid out differently"]),
        ("removed", &["laid out differently"]),
        ("required", &["certdock.enroll/1 has another layout"]),
        ("major_2", &both),
    ];
    let log = world.server.log();
    for (name, sentence) in expected {
        let file = format!("libvariant_{name}.so");
        for text in [&list, &log] {
            let mut lines = text.lines().filter(|line| line.contains(&file));
            let said = lines.any(|line| sentence.iter().all(|part| line.contains(part)));
            assert!(said, "{name}: {text}");
        }
    }

    let directory = world.server.directory_of("optional");
    let mut client = Client::new(&directory, world.tls.clone()).await.unwrap();
    let account = client.new_account(AccountKey::es256()).await.unwrap();
    let issued = issue(&mut client, &account, &["o.test"], &world.http01).await;
    check_chain(&issued.unwrap().chain, &["o.test"]);
    // It issues, and its list is another's layout: the host takes it for a handler without one.
    let url = format!("{}/crl/optional", world.server.settings.base_url());
    let crl = client.plain(Method::GET, &url).await.unwrap();
    assert_eq!(crl.status, 404, "{}", crl.text());
}

/// Row 6: `plugin-api` tests its golden files; here they are compared with those of 1.0, so that
/// nobody can write them anew.
#[test]
fn row_06_the_layouts_of_1_0_stand() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let frozen = root.join("fixtures/versions/plugin-api-1.0/src/abi/layouts");
    let today = root.join("../plugin-api/src/abi/layouts");
    let mut compared = 0;
    for entry in fs::read_dir(frozen).unwrap() {
        let file = entry.unwrap();
        let name = file.file_name();
        let was = fs::read_to_string(file.path()).unwrap();
        let is = fs::read_to_string(today.join(&name)).unwrap();
        if name == "codes.txt" {
            // There may be more.
            let gone: Vec<_> = was
                .lines()
                .filter(|l| !is.lines().any(|i| i == *l))
                .collect();
            assert_eq!(gone, [""; 0], "codes that meant something in 1.0");
        } else {
            assert_eq!(is, was, "{name:?}");
        }
        compared += 1;
    }
    assert!(compared > 40, "{compared} files");
}
