package config

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// foreign is the variable of another program, such as AWS_REGION, that a flag's value is from; "" if it is from elsewhere.
func (r *reader) foreign(flag string) string {
	i := slices.IndexFunc(r.Command.Flags, func(f cli.Flag) bool { return f.Names()[0] == flag })
	d, ok := r.Command.Flags[i].(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	for _, variable := range d.GetEnvVars() {
		if value, set := os.LookupEnv(variable); set {
			if !strings.HasPrefix(variable, ownVariable) && value == r.String(flag) {
				return variable
			}
			return ""
		}
	}
	return ""
}
