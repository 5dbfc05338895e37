package io.migrationd.migrationd.cli;

import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Prints a completion script. */
@Command(
        name = "completion",
        description = {
            "Prints a script that completes commands and options.",
            "  bash: source <(migrationctl completion bash)",
            "  zsh:  source <(migrationctl completion zsh)"
        })
final class CompletionCommand implements Runnable {
    /** The shells that the script serves. */
    enum Shell {
        BASH,
        ZSH
    }

    private final MigrationctlMain main;

    @Parameters(paramLabel = "bash|zsh", description = "The shell that reads the script.")
    private Shell shell = Shell.BASH;

    CompletionCommand(MigrationctlMain main) {
        this.main = main;
    }

    /** The script serves both: in zsh it loads the emulation of bash's completion, which needs zsh's own first. */
    @Override
    public void run() {
        CommandLine tree = MigrationctlMain.commandLine(main.terminal());
        String script = AutoComplete.bash("migrationctl", tree);
        main.terminal().out().print(shell == Shell.ZSH ? "autoload -U +X compinit && compinit\n" + script : script);
        main.terminal().out().flush();
    }
}
