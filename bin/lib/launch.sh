# Shared by the launchers in bin/: finds a JDK, builds what is missing, starts a main class.
# shellcheck shell=bash

readonly REQUIRED_JAVA=25
readonly EXIT_HOST=3 # This host cannot do it.

ROOT=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.." && pwd)
readonly ROOT

fail() {
    printf '%s: %s\n' "$(basename -- "$0")" "$1" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit "$EXIT_HOST"
}

# Prints the feature release of the JDK in $1, or 0. Reads its release file: starting it would cost more than all else.
java_release() {
    local line
    if [[ -x $1/bin/java && -r $1/release ]]; then
        while IFS= read -r line; do
            if [[ $line =~ ^JAVA_VERSION=\"([0-9]+) ]]; then
                printf '%s' "${BASH_REMATCH[1]}"
                return
            fi
        done <"$1/release"
    fi
    printf 0
}

# Prints a JDK that is new enough: JAVA_HOME if it is, else the newest that lies where JDKs usually lie.
find_jdk() {
    local home on_path release best='' best_release=0
    if [[ -n ${JAVA_HOME:-} ]] && (($(java_release "$JAVA_HOME") >= REQUIRED_JAVA)); then
        printf '%s' "$JAVA_HOME"
        return
    fi
    on_path=$(command -v java || true)
    [[ -z $on_path ]] || on_path=$(dirname -- "$(dirname -- "$(readlink -f -- "$on_path")")")
    for home in "$on_path" /usr/lib/jvm/* "${HOME:-/nonexistent}"/.sdkman/candidates/java/* /opt/*; do
        release=$(java_release "$home")
        if ((release >= REQUIRED_JAVA && release > best_release)); then
            best=$home
            best_release=$release
        fi
    done
    [[ -n $best ]] || fail "no JDK $REQUIRED_JAVA or newer found" \
        "looked at: JAVA_HOME (${JAVA_HOME:-not set}), java on PATH, /usr/lib/jvm, ~/.sdkman, /opt" \
        "install one, for example the package temurin-$REQUIRED_JAVA-jdk or openjdk-$REQUIRED_JAVA-jdk, or set JAVA_HOME"
    printf '%s' "$best"
}

# newest FILE...: prints the newest file of those that exist, or nothing: a pattern that matches nothing stays a pattern.
newest() {
    local file best=''
    for file in "$@"; do
        if [[ -e $file && (-z $best || $file -nt $best) ]]; then
            best=$file
        fi
    done
    printf '%s' "$best"
}

# Whether what runs was built from the sources as they are now: every artifact exists, and nothing that goes into it is
# newer than it or than the last build from here (Maven leaves an artifact alone that would not change).
# Directories count too: a file that went away makes its directory newer.
is_fresh() {
    local module artifact reference newer
    local stamp=$ROOT/.local/launch/$1.stamp
    for module in protocol returnpath postcopy migrationd "${@:2}"; do
        case $module in
            migrationd) artifact=$(newest "$ROOT"/migrationd/target/migrationd-*.jar) ;;
            it-tests) artifact=$(newest "$ROOT"/it-tests/target/it-tests-*.jar) ;;
            *) artifact=$(newest "$ROOT"/migrationd/target/lib/"$module"-*.jar) ;;
        esac
        [[ -n $artifact ]] || return 1
        reference=$artifact
        [[ ! $stamp -nt $reference ]] || reference=$stamp
        newer=$(find "$ROOT/pom.xml" "$ROOT/$module/pom.xml" "$ROOT/$module/src/main" \
            -newer "$reference" -print -quit) || return 1
        [[ -z $newer ]] || return 1
    done
}

# build TARGET [EXTRA-MODULE]: builds if something is missing or old; of two launchers one builds, the other waits.
build() {
    local target=$1 lock
    [[ -f $ROOT/pom.xml ]] || return 0 # Installed without sources.
    ! is_fresh "$@" || return 0
    mkdir -p "$ROOT/.local/launch"
    exec {lock}>"$ROOT/.local/launch/lock"
    flock "$lock"
    if ! is_fresh "$@"; then
        command -v mvn >/dev/null || fail "cannot build: mvn is not installed" "install the package maven"
        printf '%s: building (once, until sources change)...\n' "$(basename -- "$0")" >&2
        # From before the build, so that what is edited meanwhile counts as newer.
        touch "$ROOT/.local/launch/$target.next"
        mvn -B -ntp -q -f "$ROOT/pom.xml" -DskipTests -pl "${2:-migrationd}" -am package >&2 {lock}>&- ||
            fail "the build failed" "run: mvn -B -DskipTests package"
        mv "$ROOT/.local/launch/$target.next" "$ROOT/.local/launch/$target.stamp"
    fi
    exec {lock}>&-
}

# Prints the class path of the daemon and of everything that ships with it.
class_path() {
    if [[ -f $ROOT/pom.xml ]]; then
        printf '%s:%s' "$(newest "$ROOT"/migrationd/target/migrationd-*.jar)" "$ROOT/migrationd/target/lib/*"
    else
        printf '%s' "$ROOT/lib/*"
    fi
}

# start CLASS-PATH MAIN-CLASS [JVM-OPTION...] -- [ARGUMENT...]: becomes java.
start() {
    local class_path=$1 main=$2 jdk
    local -a options=()
    shift 2
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    jdk=$(find_jdk)
    exec "$jdk/bin/java" --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow \
        "${options[@]}" -cp "$class_path" "$main" "$@"
}
