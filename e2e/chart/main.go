// chart renders a Helm chart to standard output, as `helm template` does: with the library, without the program.
//
// usage: chart DIRECTORY RELEASE NAMESPACE [KEY=VALUE ...]
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: chart DIRECTORY RELEASE NAMESPACE [KEY=VALUE ...]")
		os.Exit(2)
	}
	if err := render(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func render(directory, release, namespace string, settings []string) error {
	chart, err := loader.Load(directory)
	if err != nil {
		return err
	}
	given := map[string]any{}
	for _, setting := range settings {
		if err := strvals.ParseInto(setting, given); err != nil {
			return err
		}
	}
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true}
	// Checks the values against the chart's schema, too.
	values, err := chartutil.ToRenderValues(chart, given, options, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	files, err := engine.Render(chart, values)
	if err != nil {
		return err
	}
	var names []string
	for name := range files {
		if strings.HasSuffix(name, ".yaml") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		if text := strings.TrimSpace(files[name]); text != "" {
			fmt.Printf("---\n%s\n", text)
		}
	}
	return nil
}
