package balance

import (
	"errors"
	"fmt"
	"math"
)

// Place is where a member or a node stands. The zero value is nowhere known.
type Place struct {
	// Zone is the failure domain, as eu-west-1a. Same zone, but of a different region,
	// is another zone.
	Zone string `yaml:"zone"`
	// Region is a group of zones, as eu-west-1.
	Region string `yaml:"region"`
	// Location is where that is; nil: not known.
	Location *Location `yaml:"location"`
}

// Location is a point of the earth, in degrees; north and east are positive.
type Location struct {
	Lat float64 `yaml:"lat"` // -90 to 90
	Lon float64 `yaml:"lon"` // -180 to 180
}

// Validate joins everything that is wrong with p, or returns nil.
func (p Place) Validate() error {
	var faults []error
	if l := p.Location; l != nil {
		for _, angle := range []struct {
			field    string
			is, most float64
		}{{"lat", l.Lat, 90}, {"lon", l.Lon, 180}} {
			if !(math.Abs(angle.is) <= angle.most) { // so worded, it refuses NaN too
				faults = append(faults, fmt.Errorf("location.%s: must be from %v to %v, is %v", angle.field, -angle.most, angle.most, angle.is))
			}
		}
	}
	return errors.Join(faults...)
}

const (
	earthRadius = 6371.0 // km, the mean
	// band is how many km apart in distance members are equally near: what light in
	// glass covers, there and back, in a millisecond.
	band = 100.0
)

// The classes of nearness. Between region and unknown are the bands of distance.
const (
	sameZone int32 = iota
	sameRegion
	firstBand
	nearnessUnknown int32 = 1 << 10
)

// nearness returns the class of a place as seen from another.
func (p Place) nearness(from Place) int32 {
	sure := p.Region != "" && p.Region == from.Region
	switch {
	case p.Zone != "" && p.Zone == from.Zone && (sure || p.Region == "" || from.Region == ""):
		return sameZone
	case sure:
		return sameRegion
	case p.Location != nil && from.Location != nil:
		if km := p.Location.km(*from.Location); km >= 0 { // no NaN
			return firstBand + int32(km/band)
		}
	}
	return nearnessUnknown
}

// km is the great-circle distance, by the haversine formula.
func (l Location) km(to Location) float64 {
	const rad = math.Pi / 180
	hav := func(degrees float64) float64 { s := math.Sin(degrees * rad / 2); return s * s }
	h := hav(to.Lat-l.Lat) + math.Cos(l.Lat*rad)*math.Cos(to.Lat*rad)*hav(to.Lon-l.Lon)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}
