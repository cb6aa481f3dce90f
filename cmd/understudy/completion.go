package main

import "github.com/spf13/cobra"

func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes commands in a shell",
		Long: `Print a script that completes commands and flags in a shell.

  bash        source <(understudy completion bash)
  zsh         understudy completion zsh > "${fpath[1]}/_understudy"
  fish        understudy completion fish | source
  powershell  understudy completion powershell | Out-String | Invoke-Expression`,
		Example:   "  source <(understudy completion bash)",
		ValidArgs: shells,
		Args:      args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), "one of bash, zsh, fish, powershell"),
		RunE: func(c *cobra.Command, given []string) error {
			root, w := c.Root(), c.OutOrStdout()
			switch given[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			}
			return root.GenPowerShellCompletionWithDesc(w)
		},
	}
}
